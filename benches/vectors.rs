//! What a search by meaning costs: the similarity of 5,000 vectors of 768 numbers to one, in memory and from a database,
//! and which of them are near which.
//!
//! `cargo bench --bench vectors`. Prints medians and, where one is set, the bound.

use std::{env, hint::black_box, time::Instant};

use rusqlite::{Connection, params};
use waltop::{
    config::profile::Profile,
    database::{factory, migrations},
    ingest::{
        QueryMeaning, StopFlag,
        embed::{
            nearest::ModelVectors,
            vector::{self, RankedMatch, TopMatches},
        },
        nearest,
        query::SearchQuery,
    },
};

const VECTORS: u32 = 5000;
const DIMENSION: usize = 768;
const FOUND: usize = 10;
const ROUNDS: usize = 51;
/// Documents that are near each other, and far from all others.
const CLUSTER: u32 = 5;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let vectors: Vec<Vec<f32>> = (0..VECTORS).map(made_up).collect();
    let query = made_up(7);
    println!("{VECTORS} vectors of {DIMENSION} numbers; medians of {ROUNDS}");
    let in_memory = median(|| {
        let mut top = TopMatches::of(FOUND);
        for (id, vector) in (1..).zip(&vectors) {
            top.offer(RankedMatch { id, similarity: vector::cosine(&query, vector) });
        }
        black_box(top.best_first());
        Ok(())
    })?;
    bound("the most alike, in memory", in_memory, 5.0);
    let home = tempfile::tempdir()?;
    let path = home.path().join("notes.db");
    fill(&path, &vectors)?;
    let from_database = median(|| {
        let meaning = QueryMeaning { model: "made-up", vector: &query };
        let hits = nearest(&path, &SearchQuery::default(), meaning, FOUND, &Profile::hardened())?;
        if hits.len() == FOUND { Ok(()) } else { Err("not found".into()) }
    })?;
    bound("the same from a database, opened each time", from_database, 20.0);
    let mut all = ModelVectors::default();
    for (id, vector) in (1..).zip(&vectors) {
        all.push(id, None, &vector::to_bytes(vector));
    }
    let begun = Instant::now();
    let near = all.nearest(0.8, &[], &StopFlag::default()).ok_or("nobody stopped it")?;
    println!("  near neighbours of all: {:.1} s, {} documents", begun.elapsed().as_secs_f64(), near.len());
    Ok(())
}

/// A direction, the same each time; the ones of a cluster are alike.
fn made_up(number: u32) -> Vec<f32> {
    let mut dice = u64::from(number / CLUSTER) + 1;
    let mut numbers: Vec<f32> = (0..DIMENSION)
        .map(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f32::from(u16::try_from(dice >> 48).unwrap_or_default()) - 32_768.0
        })
        .collect();
    numbers[usize::try_from(number).unwrap_or_default() % DIMENSION] += 1000.0;
    vector::unit(numbers).unwrap_or_default()
}

fn fill(path: &std::path::Path, vectors: &[Vec<f32>]) -> Result<(), Failure> {
    let mut connection: Connection = factory::open(path, true, &Profile::hardened())?;
    migrations::migrate(&mut connection)?;
    let transaction = connection.transaction()?;
    for (number, vector) in (1_i64..).zip(vectors) {
        transaction.execute(
            "INSERT INTO nodes (id, path, folder, title, kind, body, bytes, modified_ns, hash, ingested_at)
             VALUES (?1, 'n/' || ?1, 'n', 'Title', 'note', ?2, 1, 1, x'00', '')",
            params![number, "Some five kilobytes of text. ".repeat(180)],
        )?;
        transaction.execute(
            "INSERT INTO nodes_vectors (node, model, dimension, hash, vector) VALUES (?1, 'made-up', ?2, x'00', ?3)",
            params![number, i64::try_from(DIMENSION)?, vector::to_bytes(vector)],
        )?;
    }
    Ok(transaction.commit()?)
}

/// The median time in ms.
fn median(mut once: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        once()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn bound(what: &str, value: f64, most: f64) {
    let verdict = if value <= most { "holds" } else { "over" };
    println!("  {what:<50} {value:>7.2} ms (at most {most} ms: {verdict})");
}
