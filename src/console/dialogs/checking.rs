//! Shows that a health check runs; asks nothing.

use std::path::PathBuf;

use jiff::Timestamp;
use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogScene};
use crate::{act::ConfirmedAction, diagnose::health::HealthDepth, units};

#[derive(Debug, Clone)]
pub struct CheckingDialog {
    pub database: PathBuf,
    pub depth: HealthDepth,
    pub since: Timestamp,
}

impl DialogContent for CheckingDialog {
    fn title(&self) -> String {
        "Health check".to_owned()
    }

    fn hint(&self) -> Option<&'static str> {
        Some("Esc ends the check")
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        None
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let Self { database, depth, since } = self;
        let seconds = scene.now.duration_since(*since).as_secs().max(0);
        let pages = scene.database.filter(|it| it.path == *database).and_then(|it| it.header.as_ref());
        let of = match pages.filter(|_| *depth == HealthDepth::QuickCheck) {
            Some(header) => format!(" of {}", units::plural(header.page_count.into(), "page")),
            None => String::new(),
        };
        page.plain(&format!("{}: {depth}{of}, {seconds} s so far.", database.display()))
    }
}
