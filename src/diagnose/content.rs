//! Findings from the bytes of the files: a log or a journal that may not belong to the main file, and damage.

use jiff::Timestamp;

use super::{Rule, RuleFacts, RuleInput, evidence, explain, no_remedy, quoted, who};
use crate::{
    snapshot::{
        Contradiction, ContradictionKind, Database, Finding, FindingKind, FirstPage, HotJournal, LogBelongs,
        Remedy, Severity, Suspicion, SuspicionKind,
    },
    units,
};

/// The suspicions from one sample of the files in `database`.
pub fn suspicions(database: &Database, now: Timestamp) -> Vec<Suspicion> {
    let files = || {
        let files = [&database.files.db, &database.files.wal, &database.files.journal];
        files.into_iter().flatten().map(|file| format!("{}:{}", file.device, file.inode)).collect()
    };
    let content = &database.content;
    let found: [Option<(SuspicionKind, Vec<String>)>; 4] = [
        content.is_damaged().then(|| (SuspicionKind::DamagedHeader, files())),
        // The first missing page can change with each commit.
        contradiction(database)
            .map(|it| (SuspicionKind::Contradiction, vec![it.kind.to_string(), it.by_index.to_string()])),
        doubtful_log(database).map(|it| (SuspicionKind::DoubtfulLog, vec![it.frames.to_string()])),
        content.hot_journal.as_ref().map(|it| {
            let evidence = [it.bytes.to_string(), text(it.modified_at).to_string()];
            (SuspicionKind::HotJournal, evidence.to_vec())
        }),
    ];
    found
        .into_iter()
        .flatten()
        .map(|(kind, evidence)| Suspicion::new(kind, None, [evidence, files()].concat(), now))
        .collect()
}

// A difference between page 1 and its frame is a separate finding if page 1 is damaged.
fn contradiction(database: &Database) -> Option<&Contradiction> {
    let found = database.content.contradiction.as_ref();
    found.filter(|it| !(database.content.is_damaged() && it.page == Some(1)))
}

// An overwritten page 1 is also newer than the log.
fn doubtful_log(database: &Database) -> Option<&LogBelongs> {
    database.content.doubtful_log().filter(|_| !database.content.is_damaged())
}

pub const RULES: &[&dyn Rule] = &[&DamagedHeader, &MismatchedFiles, &DoubtfulLog, &HotJournalLeft];

/// Page 1 is no header, although the other pages or the log are in plain text.
pub struct DamagedHeader;

impl Rule for DamagedHeader {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DamagedHeader, &[Severity::Error]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let page = database.content.first_page.as_ref();
        let is_confirmed = look.confirms_of_files(SuspicionKind::DamagedHeader);
        let Some(page) = page.filter(|_| is_confirmed) else { return Vec::new() };
        let users: Vec<i32> =
            database.processes.iter().filter(|it| it.has_main_file()).map(|it| it.pid).collect();
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: None,
            message: damage(database, page, &users),
            evidence: evidence([
                ("page_size", page.page_size.into()),
                ("plain_pages", page.plain_pages.into()),
                ("index_is_valid", page.index_is_valid.into()),
                ("log_has_it", page.log_has_it.into()),
                ("processes", users.into()),
            ]),
            remedy: rescue(database),
        }]
    }
}

fn damage(database: &Database, page: &FirstPage, users: &[i32]) -> String {
    let users: Vec<String> = users.iter().map(|&pid| who(database, Some(pid))).collect();
    let opened = match users.as_slice() {
        [] => "no process has it open".to_owned(),
        users => format!("open in {}", users.join(", ")),
    };
    let log = match page.log_has_it {
        Some(true) => "its log holds a good copy of page 1",
        Some(false) => "its log holds no copy of page 1",
        None => "its log was not read whole",
    };
    format!(
        "page 1 of {} is damaged, not encrypted ({opened}; {log}): the next program that opens it can lose the log, \
         so copy main file, -wal and -shm first",
        database.name()
    )
}

/// The main file contradicts its index, its log or its own header.
pub struct MismatchedFiles;

impl Rule for MismatchedFiles {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::MismatchedFiles, &[Severity::Error]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let is_confirmed = look.confirms_of_files(SuspicionKind::Contradiction);
        let Some(found) = contradiction(database).filter(|_| is_confirmed) else { return Vec::new() };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Error,
            label: None,
            pid: None,
            message: format!(
                "{}: a file was copied over {}, or a part of it is cut off",
                contradicted(&database.name(), found),
                database.name()
            ),
            evidence: evidence([
                ("kind", found.kind.to_string().into()),
                ("page", found.page.into()),
                ("pages_promised", found.pages_promised.into()),
                ("pages_in_file", found.pages_in_file.into()),
                ("pages_by_header", found.pages_by_header.into()),
                ("by_index", found.by_index.into()),
            ]),
            // No command repairs it: only the user knows which file is the good one.
            remedy: explain(self.kind()),
        }]
    }
}

fn contradicted(name: &str, found: &Contradiction) -> String {
    let count = |pages: u32| units::plural(pages.into(), "page");
    let promise = if found.by_index { "the index" } else { "the header" };
    match (found.kind, found.page) {
        (ContradictionKind::MissingPage, Some(page)) => format!(
            "page {} of {name} is neither in the file ({}) nor in the log, though {promise} counts {}",
            units::count(page.into()),
            count(found.pages_in_file),
            count(found.pages_promised)
        ),
        (ContradictionKind::OtherContent, Some(page)) => {
            format!("page {} of {name} is not what the log has moved there", units::count(page.into()))
        }
        (_, _) => format!(
            "the header of {name} counts {} and {promise} {}, though all frames are moved",
            found.pages_by_header.map_or_else(|| "no pages".to_owned(), count),
            count(found.pages_promised)
        ),
    }
}

/// No process uses the files, and the main file was written after the log without any page of it.
pub struct DoubtfulLog;

impl Rule for DoubtfulLog {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DoubtfulLog, &[Severity::Warning]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let is_confirmed = look.confirms_of_files(SuspicionKind::DoubtfulLog);
        let Some(doubt) = doubtful_log(database).filter(|_| is_confirmed) else { return Vec::new() };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message: doubtful_log_message(&database.name(), doubt),
            evidence: evidence([
                ("frames", doubt.frames.into()),
                ("main_written_at", text(doubt.main_written_at)),
                ("main_born_at", text(doubt.main_born_at)),
                ("log_written_at", text(doubt.log_written_at)),
            ]),
            remedy: rescue(database),
        }]
    }
}

fn doubtful_log_message(name: &str, doubt: &LogBelongs) -> String {
    let is_written_later = doubt.main_written_at > doubt.log_written_at;
    let verb = if is_written_later { "written" } else { "made" };
    format!(
        "{name}-wal holds {} of which {name} has none, and {name} was {verb} after them: either {name} is a backup \
         beside an old log, or a copy whose log was copied first and belongs to it",
        units::plural(doubt.frames.into(), "committed frame")
    )
}

/// A rollback journal waits for the next program that opens the database.
pub struct HotJournalLeft;

impl Rule for HotJournalLeft {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::HotJournal, &[Severity::Warning]).forbids_connection()
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let is_confirmed = look.confirms_of_files(SuspicionKind::HotJournal);
        let journal = database.content.hot_journal.as_ref();
        let Some(journal) = journal.filter(|_| is_confirmed) else { return Vec::new() };
        let name = database.name();
        let HotJournal { bytes, modified_at, super_journal, .. } = journal.clone();
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message: format!(
                "{name}-journal ({}) holds a transaction that a crash has cut off: the next program that opens {name} \
                 rolls it back, which destroys {name} if it was restored since",
                units::bytes(bytes)
            ),
            evidence: evidence([
                ("journal_bytes", bytes.into()),
                ("journal_written_at", text(modified_at)),
                ("super_journal", super_journal.into()),
            ]),
            // A rollback is right after a crash and wrong after a restore.
            remedy: no_remedy(),
        }]
    }
}

fn rescue(database: &Database) -> Remedy {
    Remedy { action: None, command: Some(format!("waltop rescue {} --to DIR", quoted(&database.path))) }
}

fn text(at: Option<Timestamp>) -> serde_json::Value {
    at.map(|at| at.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Severity::*, *};

    fn found(before: &ContentEvidence, now: &ContentEvidence) -> Vec<Finding> {
        let with = |content: &ContentEvidence| Database { content: content.clone(), ..quiet() };
        findings_after(Some(&with(before)), &with(now))
    }

    fn twice(content: &ContentEvidence) -> Vec<Finding> {
        let once = found(&ContentEvidence::default(), content);
        assert_eq!(once, [], "one sample accuses nobody");
        found(content, content)
    }

    fn first_page(state: FirstPageState) -> ContentEvidence {
        let page = FirstPage {
            state,
            page_size: Some(4096),
            index_is_valid: Some(true),
            plain_pages: Some(3),
            log_has_it: Some(true),
        };
        ContentEvidence { first_page: Some(page), ..ContentEvidence::default() }
    }

    fn contradiction(kind: ContradictionKind, page: Option<u32>) -> ContentEvidence {
        let found = Contradiction {
            kind,
            page,
            pages_promised: 1286,
            pages_in_file: 6,
            pages_by_header: Some(6),
            by_index: true,
        };
        ContentEvidence { contradiction: Some(found), ..ContentEvidence::default() }
    }

    fn log(verdict: LogVerdict) -> ContentEvidence {
        let belongs = LogBelongs {
            verdict,
            frames: 199,
            main_written_at: Some(at(60)),
            main_born_at: Some(at(60)),
            log_written_at: Some(at(10)),
        };
        ContentEvidence { log_belongs: Some(belongs), ..ContentEvidence::default() }
    }

    #[test]
    fn a_damaged_page_1_names_who_has_it_open_and_what_the_log_holds() {
        let found = twice(&first_page(FirstPageState::Damaged));
        assert_eq!(outline(&found), [(FindingKind::DamagedHeader, Error, None)]);
        assert_eq!(found[0].evidence["processes"], serde_json::json!([WRITER, READER]));
        assert_eq!(found[0].evidence["log_has_it"], true);
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop rescue /srv/notes.db --to DIR"));
        for state in [
            FirstPageState::Good,
            FirstPageState::Empty,
            FirstPageState::Encrypted,
            FirstPageState::NotADatabase,
        ] {
            assert_eq!(twice(&first_page(state)), [], "{state:?}");
        }
    }

    #[test]
    fn each_kind_of_contradiction_is_an_error_with_its_figures() {
        for (kind, page) in [
            (ContradictionKind::MissingPage, Some(7)),
            (ContradictionKind::PageCount, None),
            (ContradictionKind::OtherContent, Some(1)),
        ] {
            let found = twice(&contradiction(kind, page));
            assert_eq!(outline(&found), [(FindingKind::MismatchedFiles, Error, None)]);
            let evidence = &found[0].evidence;
            assert_eq!(evidence["kind"], kind.to_string());
            assert_eq!(evidence["page"], serde_json::json!(page));
            assert_eq!((&evidence["pages_promised"], &evidence["pages_in_file"]), (&1286.into(), &6.into()));
        }
    }

    #[test]
    fn another_kind_of_contradiction_in_each_sample_is_none() {
        let kinds = [ContradictionKind::MissingPage, ContradictionKind::OtherContent];
        let [one, other] = kinds.map(|kind| contradiction(kind, Some(7)));
        assert_eq!(found(&one, &other), []);
        let another_page = contradiction(kinds[0], Some(9));
        assert_eq!(outline(&found(&one, &another_page)), [(FindingKind::MismatchedFiles, Error, None)]);
    }

    #[test]
    fn a_lock_table_that_was_cut_keeps_no_proof_back() {
        let content = contradiction(ContradictionKind::MissingPage, Some(7));
        let cut = Database { content, is_complete: false, ..quiet() };
        assert_eq!(outline(&findings_after(Some(&cut), &cut)), [(FindingKind::MismatchedFiles, Error, None)]);
    }

    #[test]
    fn damage_is_reported_once() {
        let damaged = first_page(FirstPageState::Damaged);
        let mut both = contradiction(ContradictionKind::OtherContent, Some(1));
        both.first_page.clone_from(&damaged.first_page);
        both.log_belongs = log(LogVerdict::Doubtful).log_belongs;
        assert_eq!(outline(&twice(&both)), [(FindingKind::DamagedHeader, Error, None)]);
    }

    #[test]
    fn a_doubtful_log_is_rescued_and_never_moved_away() {
        let found = twice(&log(LogVerdict::Doubtful));
        assert_eq!(outline(&found), [(FindingKind::DoubtfulLog, Warning, None)]);
        assert_eq!(found[0].evidence["frames"], 199);
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop rescue /srv/notes.db --to DIR"));
        for verdict in [LogVerdict::Belongs, LogVerdict::MainIsOlder] {
            assert_eq!(twice(&log(verdict)), [], "{verdict:?}");
        }
    }

    #[test]
    fn a_hot_journal_is_reported() {
        let journal = HotJournal {
            path: "/srv/notes.db-journal".into(),
            bytes: 8720,
            modified_at: Some(at(10)),
            super_journal: None,
        };
        let content = ContentEvidence { hot_journal: Some(journal), ..ContentEvidence::default() };
        let found = twice(&content);
        assert_eq!(outline(&found), [(FindingKind::HotJournal, Warning, None)]);
        assert_eq!(found[0].evidence["journal_bytes"], 8720);
        assert_eq!(found[0].remedy, Remedy { action: None, command: None });
    }
}
