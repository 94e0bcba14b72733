//! What any program must do to take documents in, and nothing else: rows, full text, links; without names, changes,
//! others or failures in mind.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use rusqlite::{Connection, params};

/// Files in a transaction.
const BATCH: usize = 10;

type Failure = Box<dyn std::error::Error>;

struct Document {
    path: PathBuf,
    hash: [u8; 32],
    body: String,
    links: Vec<String>,
}

/// Takes `folder` into the new `database`.
pub fn index(folder: &Path, database: &Path) -> Result<(), Failure> {
    let connection = Connection::open(database)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE nodes (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, hash BLOB, body TEXT);
         CREATE TABLE edges (source INT, href TEXT, target INT, PRIMARY KEY (source, href)) WITHOUT ROWID;
         CREATE VIRTUAL TABLE nodes_fts USING fts5 (body, content = 'nodes', content_rowid = 'id')",
    )?;
    let paths = files(folder)?;
    let (sender, receiver) = mpsc::sync_channel(256);
    let reader = thread::spawn(move || {
        for path in paths {
            let Some(document) = read(path) else { continue };
            if sender.send(document).is_err() {
                return;
            }
        }
    });
    let (mut ids, mut links) = (HashMap::new(), Vec::new());
    loop {
        let batch: Vec<Document> = receiver.iter().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for document in batch {
            let mut insert =
                connection.prepare_cached("INSERT INTO nodes (path, hash, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![document.path.to_string_lossy(), document.hash, document.body])?;
            let id = connection.last_insert_rowid();
            let mut index =
                connection.prepare_cached("INSERT INTO nodes_fts (rowid, body) VALUES (?1, ?2)")?;
            index.execute(params![id, document.body])?;
            let stem = document.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            ids.insert(stem, id);
            links.extend(document.links.into_iter().map(|link| (id, link)));
        }
        connection.execute_batch("COMMIT")?;
    }
    for batch in links.chunks(BATCH * 40) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (source, link) in batch {
            let stem = link.rsplit('/').next().unwrap_or(link).trim_end_matches(".md");
            let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO edges VALUES (?1, ?2, ?3)")?;
            insert.execute(params![source, link, ids.get(stem)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    reader.join().map_err(|_| "the reader panicked")?;
    Ok(())
}

/// Looks at each file in `folder`, which is what it takes to know that nothing has changed.
pub fn stat(folder: &Path) -> Result<(), Failure> {
    let sizes = files(folder)?.into_iter().map(|path| Ok(fs::metadata(path)?.len()));
    println!("{}", sizes.sum::<std::io::Result<u64>>()?);
    Ok(())
}

/// The documents in `folder`, in order.
pub fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|it| it == "md") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: PathBuf) -> Option<Document> {
    let body = String::from_utf8(fs::read(&path).ok()?).ok()?;
    let between = |open: &str, close: &str| {
        let parts = body.split(open).skip(1).filter_map(|it| it.split_once(close)).map(|(link, _)| link);
        parts.filter(|link| !link.contains(['\n', ':'])).map(str::to_owned).collect::<Vec<_>>()
    };
    let links = [between("[[", "]]"), between("](", ")")].concat();
    Some(Document { hash: *blake3::hash(body.as_bytes()).as_bytes(), path, body, links })
}
