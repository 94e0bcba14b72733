use super::{Lines, cause, examples, text};
use crate::{
    config::{EmbedEndpoint, EndpointError},
    database::{self, factory::OpenError, holder::BlockingProcess},
    ingest::{
        IngestError, StoreError, batch::BatchSizeError, discover::DiscoverError, embed::EmbedRefusal,
        search::SearchError, store::PinnedLog,
    },
};

pub fn add(lines: &mut Lines) {
    examples!(*lines, IngestError {
        IngestError::Folder(_) => [IngestError::Folder(DiscoverError::NoFolder)],
        IngestError::Root(_) => [IngestError::Root("..".to_owned())],
        IngestError::RootOfMany => [IngestError::RootOfMany],
        IngestError::MakeFolder { .. } => [IngestError::MakeFolder { database: text(), source: cause() }],
        IngestError::Running { .. } => [
            IngestError::Running { folder: folder(), pid: Some(7) },
            IngestError::Running { folder: folder(), pid: None },
        ],
        IngestError::Watched { .. } => [IngestError::Watched { folder: folder(), pid: Some(7) }],
        IngestError::Unfit(_) => [IngestError::Unfit("data could be lost".to_owned())],
        IngestError::Journal { .. } => [
            IngestError::Journal { runs: "/home/me/.local/state/waltop/runs".to_owned(), source: cause() },
        ],
        IngestError::Store(_) => [IngestError::Store(StoreError::Stopped)],
    });
    let pinned = |reader| StoreError::Pinned {
        path: text(),
        pinned: PinnedLog { bytes: 80_000_000, reader },
        seconds: 30.0,
    };
    examples!(*lines, StoreError {
        StoreError::Open(_) => [StoreError::Open(OpenError::NotADatabase { path: text().into() })],
        StoreError::Busy { .. } => [
            StoreError::Busy { path: text(), seconds: 30.0, holder: Some(blocking()) },
            StoreError::Busy { path: text(), seconds: 30.0, holder: None },
        ],
        StoreError::Pinned { .. } => [pinned(Some(blocking())), pinned(None)],
        StoreError::Replaced { .. } => [StoreError::Replaced { path: text() }],
        StoreError::Full { .. } => [StoreError::Full { doing: "write to", path: text() }],
        StoreError::Stopped => [StoreError::Stopped],
        StoreError::Sqlite { .. } => [
            StoreError::Sqlite { doing: "write to", path: text(), source: database::example_error() },
        ],
    });
    examples!(*lines, DiscoverError {
        DiscoverError::NoFolder => [DiscoverError::NoFolder],
        DiscoverError::Missing(_) => [DiscoverError::Missing(folder())],
        DiscoverError::NotAFolder(_) => [DiscoverError::NotAFolder(folder())],
        DiscoverError::Unreadable { .. } => [DiscoverError::Unreadable { path: folder(), source: cause() }],
        DiscoverError::NotUtf8(_) => [DiscoverError::NotUtf8(folder())],
        DiscoverError::NoDocuments(_) => [DiscoverError::NoDocuments(folder())],
    });
    examples!(*lines, BatchSizeError {
        BatchSizeError::Zero => [BatchSizeError::Zero],
        BatchSizeError::NotANumber(_) => [BatchSizeError::NotANumber("ten".to_owned())],
    });
    let reason = || "http://127.0.0.1:11434/v1 answered 503".to_owned();
    examples!(*lines, EmbedRefusal {
        EmbedRefusal::Text(_) => [EmbedRefusal::Text(reason())],
        EmbedRefusal::Later { .. } => [EmbedRefusal::Later { reason: reason(), after: None }],
        EmbedRefusal::Late(_) => [EmbedRefusal::Late(reason())],
        EmbedRefusal::Unreachable(_) => [EmbedRefusal::Unreachable(reason())],
        EmbedRefusal::Never(_) => [EmbedRefusal::Never(reason())],
    });
    examples!(*lines, EndpointError {
        EndpointError(_) => ["localhost".parse::<EmbedEndpoint>().expect_err("no address")],
    });
    let model = || "mini".to_owned();
    examples!(*lines, SearchError {
        SearchError::Missing(_) => [SearchError::Missing(text())],
        SearchError::NothingIngested(_) => [SearchError::NothingIngested(text())],
        SearchError::NotEmbedded { .. } => [
            SearchError::NotEmbedded { path: text(), model: model(), others: Vec::new() },
            SearchError::NotEmbedded { path: text(), model: model(), others: vec!["large".to_owned()] },
        ],
        SearchError::Dimension { .. } => [SearchError::Dimension { model: model(), stored: 64, query: 32 }],
        SearchError::NoWords => [SearchError::NoWords],
        SearchError::Open(_) => [SearchError::Open(OpenError::NotADatabase { path: text().into() })],
        SearchError::Sqlite { .. } => [
            SearchError::Sqlite { path: text(), source: database::example_error() },
        ],
    });
}

fn folder() -> String {
    "/srv/notes".to_owned()
}

fn blocking() -> BlockingProcess {
    BlockingProcess { pid: Some(7), name: Some("bun".to_owned()), label: None }
}
