//! The databases of programs that own their format, known by their names.

use std::path::Path;

/// The name of the profile that they get.
pub const PROFILE: &str = "foreign";

/// Their file names. A name that another program could use as well stands with the folder it lies in.
const NAMES: &[(Option<&str>, &str)] = &[
    // Subversion.
    (Some(".svn"), "wc.db"),
    // Firefox and Thunderbird.
    (None, "places.sqlite"),
    (None, "cookies.sqlite"),
    (None, "favicons.sqlite"),
    (None, "formhistory.sqlite"),
    (None, "permissions.sqlite"),
    (None, "content-prefs.sqlite"),
    (None, "webappsstore.sqlite"),
    (None, "storage-sync-v2.sqlite"),
    (None, "protections.sqlite"),
    (None, "global-messages-db.sqlite"),
    // Network Security Services, in a browser or beside it.
    (None, "cert9.db"),
    (None, "key4.db"),
    // Chromium and the browsers made from it.
    (None, "Cookies"),
    (None, "History"),
    (None, "Favicons"),
    (None, "Login Data"),
    (None, "Web Data"),
    (None, "Top Sites"),
    (None, "Shortcuts"),
    (None, "Network Action Predictor"),
    // fail2ban.
    (None, "fail2ban.sqlite3"),
    // rpm and dnf.
    (None, "rpmdb.sqlite"),
    (Some("dnf"), "history.sqlite"),
];

/// Whether the database at `path` belongs to a program that owns its format.
pub fn is_foreign(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    let is_it = |(within, name): &(Option<&str>, &str)| {
        path.file_name().is_some_and(|it| it == *name)
            && within.is_none_or(|within| folder.is_some_and(|it| it == within))
    };
    NAMES.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_are_known_by_name_and_folder() {
        for path in [
            "/home/me/src/.svn/wc.db",
            "/home/me/.mozilla/firefox/x.default/places.sqlite",
            "/home/me/.config/chromium/Default/Network/Cookies",
            "/var/lib/fail2ban/fail2ban.sqlite3",
        ] {
            assert!(is_foreign(Path::new(path)), "{path}");
        }
        for path in ["/srv/wc.db", "/srv/history.sqlite", "/srv/my places.sqlite", "/srv/.svn/notes.db", "/"]
        {
            assert!(!is_foreign(Path::new(path)), "{path}");
        }
    }
}
