use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    super::preview::{FolderQuery, MOST_RUNNING},
    *,
};
use crate::{config::Config, snapshot::CheckpointMode};

fn executor() -> (EffectExecutor, UnboundedReceiver<EffectReport>) {
    let (outbox, reports) = unbounded_channel();
    (EffectExecutor::new(outbox, &Places::under("/nowhere".as_ref())), reports)
}

#[test]
fn what_became_of_an_action_is_reported_and_until_then_no_other_of_its_kind_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let reports = runtime.block_on(async {
        let (executor, mut reports) = executor();
        for name in ["a.db", "a.db", "b.db"] {
            let outcome = ActionOutcome::good(format!("{name} is checkpointed"));
            executor.spawn(WorkerKind::Checkpoint, name.as_ref(), async { outcome });
        }
        drop(executor);
        let mut texts = Vec::new();
        while let Some(EffectReport::Outcome(outcome)) = reports.recv().await {
            texts.push(outcome.text);
        }
        texts
    });
    let refused = "another checkpoint of a.db is still running; try again when it has ended";
    assert_eq!(reports, [refused, "a.db is checkpointed", "b.db is checkpointed"]);
}

#[test]
fn a_process_that_was_not_pinned_gets_no_signal_and_that_is_reported() {
    let (executor, mut reports) = executor();
    let permit = Config::new(Places::under("/nowhere".as_ref())).permit().expect("it is not read-only");
    let target = SignalTarget { pid: i32::MAX, start_ticks: 1 };
    executor.signal(permit, &[target], StopSignal::Term);
    drop(executor);
    let Some(EffectReport::Ended(ended)) = reports.blocking_recv() else { panic!("it is reported") };
    let refusal = StopOutcome::Refused(SignalRefusal::Unpinned { pid: target.pid });
    assert_eq!((ended.target, ended.signal, ended.end), (target, StopSignal::Term, refusal));
    assert!(reports.blocking_recv().is_none(), "once");
}

#[test]
fn a_scheduled_checkpoint_that_cannot_be_recorded_is_not_run_and_that_is_reported() {
    // No folder can be made below a file.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let places = Places::under(file.path());
    let (outbox, mut reports) = unbounded_channel();
    let executor = EffectExecutor::new(outbox, &places);
    let permit = Config::new(places).permit().expect("it is not read-only");
    let due = DueCheckpoint {
        database: "/srv/a.db".into(),
        mode: CheckpointMode::Passive,
        plan: CheckpointPlan::Run { mode: CheckpointMode::Passive, instead: None },
        seen: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report = runtime.block_on(async {
        executor.scheduled(permit, due);
        drop(executor);
        reports.recv().await
    });
    let Some(EffectReport::Noted(outcome)) = report else { panic!("it is reported") };
    assert_eq!(outcome.level, Level::Error);
    assert!(outcome.text.starts_with("a.db: no scheduled checkpoint: "), "{}", outcome.text);
}

#[test]
fn each_search_is_answered_unless_another_one_takes_its_place() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answers = runtime.block_on(async {
        let (mut executor, mut reports) = executor();
        for query in ["zebra", "lion"] {
            executor.search("/nowhere/a.db".into(), query.to_owned());
        }
        let mut answers = Vec::new();
        if let Some(EffectReport::DocumentsFound(found)) = reports.recv().await {
            answers.push((found.database, found.query, found.found.is_err()));
        }
        executor.search("/nowhere/a.db".into(), "tiger".to_owned());
        executor.stop_search();
        drop(executor);
        assert!(reports.recv().await.is_none(), "the third was stopped");
        answers
    });
    assert_eq!(answers, [("/nowhere/a.db".into(), "lion".to_owned(), true)]);
}

#[test]
fn a_document_is_read_and_a_folder_is_previewed_for_the_path_that_was_asked_for() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("a.md").display().to_string();
    std::fs::write(&path, "# Zebra").expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut executor, mut reports) = executor();
        executor.read_document(path.clone());
        let Some(EffectReport::DocumentRead { path: read, text }) = reports.recv().await else {
            panic!("it is read")
        };
        assert_eq!((read, text.map(|it| it.text)), (path, Ok("# Zebra".to_owned())));
        let typed = folder.path().display().to_string();
        let query = FolderQuery {
            typed: typed.clone(),
            folder: folder.path().to_owned(),
            database: folder.path().join("a.db"),
        };
        executor.preview(query);
        let Some(EffectReport::Preview(preview)) = reports.recv().await else { panic!("it is previewed") };
        assert_eq!((preview.typed, preview.documents.map(|it| it.files)), (typed, Ok(1)));
    });
}

#[test]
fn as_many_previews_as_may_run_do_and_one_more_is_refused() {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("a.md"), "# Zebra").expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let previewed = |running: usize| {
        runtime.block_on(async {
            let (mut executor, mut reports) = executor();
            let others = vec![Arc::clone(&executor.previews); running];
            executor.preview(FolderQuery {
                typed: folder.path().display().to_string(),
                folder: folder.path().to_owned(),
                database: folder.path().join("a.db"),
            });
            let Some(EffectReport::Preview(preview)) = reports.recv().await else { panic!("it is answered") };
            drop(others);
            preview.documents.map(|it| it.files)
        })
    };
    assert_eq!(previewed(MOST_RUNNING - 1), Ok(1));
    assert!(previewed(MOST_RUNNING).is_err_and(|why| why.starts_with("earlier counts have not ended")));
}

#[test]
fn only_a_folder_that_is_there_can_be_ingested() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("a.md");
    std::fs::write(&file, "").expect("written");
    assert_eq!(refusal_of_folder(folder.path()), None);
    assert!(refusal_of_folder(&file).is_some_and(|why| why.ends_with("is not a folder; name a folder")));
    assert!(refusal_of_folder(&file.join("x")).is_some_and(|why| why.ends_with("check the path")));
}

#[test]
fn a_process_that_was_released_gets_no_signal() {
    let (outbox, mut reports) = unbounded_channel();
    let mut executor = EffectExecutor::new(outbox, &Places::under("/nowhere".as_ref()));
    let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("it starts");
    let pid = child.id().cast_signed();
    let start_ticks = crate::observe::process_start("/proc".as_ref(), pid).expect("it runs");
    let target = SignalTarget { pid, start_ticks };
    executor.pin(&[StopRequest::ingestion(target)]);
    let Some(EffectReport::Pinned(answers)) = reports.blocking_recv() else { panic!("it is reported") };
    assert!(matches!(answers[..], [(pinned, Ok(()))] if pinned == target), "{answers:?}");
    executor.unpin();
    let permit = Config::new(Places::under("/nowhere".as_ref())).permit().expect("it is not read-only");
    executor.signal(permit, &[target], StopSignal::Term);
    let Some(EffectReport::Ended(ended)) = reports.blocking_recv() else { panic!("it is reported") };
    assert_eq!(ended.end, StopOutcome::Refused(SignalRefusal::Unpinned { pid }));
    assert!(child.try_wait().expect("it is a child").is_none(), "it runs on");
    child.kill().and_then(|()| child.wait()).expect("it ends");
}
