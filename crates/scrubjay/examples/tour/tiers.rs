//! Behind memory: compressed bytes, codecs, and what a changed type comes to.

use crate::Failure;
use crate::page::Page;
use scrubjay::{BoxError, Cache, Clock, Codec, Compressed, ExistenceFilter, Floats, Memory, Stats};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) async fn show(page: &mut Page) -> Result<(), Failure> {
    compressed(page).await?;
    floats(page).await?;
    changed_types(page).await?;
    existence_filter(page)
}

/// What the compressed tier is for: text, numbers, repeated names.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
struct Article {
    title: String,
    tags: Vec<String>,
    body: String,
}

impl Article {
    /// Words in an order that looks like one, the same in every run.
    fn new(number: u64) -> Article {
        const WORDS: [&str; 32] = [
            "the",
            "cache",
            "holds",
            "what",
            "was",
            "asked",
            "for",
            "before",
            "and",
            "a",
            "jay",
            "hides",
            "acorns",
            "under",
            "leaves",
            "to",
            "find",
            "them",
            "again",
            "when",
            "winter",
            "comes",
            "each",
            "in",
            "place",
            "of",
            "its",
            "own",
            "thousands",
            "every",
            "year",
            "remembered",
        ];
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut word = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            WORDS[(state >> 59) as usize]
        };
        let body = (0..400).map(|_| word()).collect::<Vec<_>>().join(" ");
        Article { title: format!("Article {number}"), tags: vec![word().into(), word().into()], body }
    }

    fn len(&self) -> usize {
        self.title.len() + self.tags.iter().map(String::len).sum::<usize>() + self.body.len()
    }
}

async fn articles(compressed: Compressed) -> Result<Cache<u64, Article>, Failure> {
    let builder = Cache::builder("articles").memory(Memory::bytes(256 << 10)).compressed(compressed);
    Ok(builder.schema_version(2).clock(Clock::held()).build().await?)
}

fn compressed_tier(stats: &Stats) -> Result<(u64, u64), Failure> {
    let tier = stats.compressed.as_ref().ok_or("no compressed tier")?;
    Ok((tier.entries, tier.weight))
}

async fn compressed(page: &mut Page) -> Result<(), Failure> {
    page.section("A compressed tier: what memory evicts is kept, smaller");
    let originals: Vec<Article> = (0..1_000).map(Article::new).collect();
    page.shows("articles", originals.len());
    page.shows("bytes of their text", originals.iter().map(Article::len).sum::<usize>());
    page.shows("budget of memory, of the compressed tier", "256 KiB, 4 MiB");
    for (name, config) in [("LZ4", Compressed::bytes(4 << 20)), ("zstd", Compressed::bytes(4 << 20).zstd())] {
        let cache = articles(config).await?;
        cache.insert_many((0..).zip(originals.iter().cloned())).await?;
        let (entries, weight) = compressed_tier(&cache.stats())?;
        page.holds(
            &format!("{name}: articles in memory and compressed"),
            cache.stats().memory.entries + entries,
            1_000,
        );
        page.shows("  compressed ones", entries);
        page.shows("  bytes that they take", weight);
        let plain: usize = originals.iter().map(Article::len).sum::<usize>() * usize::try_from(entries)? / 1_000;
        let saved = 100.0 - 100.0 * f64::from(u32::try_from(weight)?) / f64::from(u32::try_from(plain)?);
        page.within("  bytes saved", saved, " %", 30.0..=80.0);
        let mut intact = 0;
        for (id, article) in (0..).zip(&originals) {
            intact += usize::from(cache.get(&id).await.as_ref() == Some(article));
        }
        page.holds("  found again, and equal to what was stored", intact, 1_000);
        let stats = cache.stats();
        let promoted = stats.compressed.as_ref().map_or(0, |tier| tier.departures.promoted);
        page.holds("  went up into memory on their hit, leaving the tier", promoted > 900, true);
    }
    Ok(())
}

async fn floats(page: &mut Page) -> Result<(), Failure> {
    page.section("Float vectors: as they lie in memory");
    let embedding =
        |seed: u32| -> Arc<[f32]> { (0..1_536_u16).map(|i| (f32::from(i) + 0.1).sin() / seed as f32).collect() };
    let (one, mut bytes) = (embedding(1), Vec::new());
    Floats.encode(&one, &mut bytes)?;
    page.holds("bytes of an embedding of 1,536 floats", bytes.len(), 6_144);
    page.shows("as JSON", serde_json::to_vec(&one)?.len());
    let builder = Cache::builder("embeddings").memory(Memory::bytes(64 << 10)).clock(Clock::held());
    let builder = builder.compressed_with(Compressed::bytes(2 << 20).uncompressed(), Floats);
    let cache: Cache<u32, Arc<[f32]>> = builder.build().await?;
    cache.insert_many((1..=200).map(|seed| (seed, embedding(seed)))).await?;
    let mut equal = 0;
    for seed in 1..=200 {
        let bits = |floats: Arc<[f32]>| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
        equal += usize::from(cache.get(&seed).await.map(bits) == Some(bits(embedding(seed))));
    }
    page.holds("of 200, through the tier of bytes, come back bit by bit", equal, 200);
    page.holds(
        "of those, that memory had given away",
        cache.stats().compressed.map_or(0, |tier| tier.hits) > 100,
        true,
    );
    Ok(())
}

/// Writes one version of a type and reads another: what a cache that outlives its program comes to.
struct Outdated;

impl Codec<String> for Outdated {
    fn id(&self) -> u8 {
        200
    }

    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.push(1);
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, BoxError> {
        match bytes {
            [2, text @ ..] => Ok(String::from_utf8(text.to_vec())?),
            _ => Err("written by version 1".into()),
        }
    }
}

async fn changed_types(page: &mut Page) -> Result<(), Failure> {
    page.section("A changed type is a miss, never a wrong value");
    page.note(
        "Each entry carries the cache's schema_version and its codec; other ones are not read. What does not decode",
    );
    page.note("all the same, here because the codec reads another version than it writes, is dropped and counted.");
    let builder = Cache::builder("texts").memory(Memory::entries(10).shards(1)).clock(Clock::held()).schema_version(2);
    let cache: Cache<u32, String> = builder.compressed_with(Compressed::bytes(1 << 20), Outdated).build().await?;
    cache.insert_many((0..100).map(|id| (id, format!("text {id}")))).await?;
    let (mut found, mut missing) = (0, Vec::new());
    for id in 0..100 {
        match cache.get(&id).await {
            Some(text) if text == format!("text {id}") => found += 1,
            Some(wrong) => return Err(format!("{id} is {wrong}").into()),
            None => missing.push(id),
        }
    }
    let dropped = cache.stats().compressed.map_or(0, |tier| tier.drops.not_decoded);
    page.holds("of 100 texts, found: those that memory still has", found, 10);
    page.holds("misses, counted as drops \"not_decoded\"", dropped, 90);
    page.holds("codec_errors", cache.stats().codec_errors, 90);
    let text = cache.get_or_load(&missing[0], async |id| Ok::<_, std::io::Error>(format!("text {id}, loaded"))).await?;
    page.holds("and get_or_load loads it again", text, format!("text {}, loaded", missing[0]));
    Ok(())
}

fn existence_filter(page: &mut Page) -> Result<(), Failure> {
    page.section("Existence filter: \"certainly not here\" before anybody asks a slow tier");
    let filter = ExistenceFilter::new(100_000, 0.01)?;
    (0..100_000_u32).for_each(|key| filter.insert(key.to_le_bytes()));
    let missing = (0..100_000_u32).filter(|key| !filter.may_contain(key.to_le_bytes())).count();
    page.holds("of 100,000 keys that are there, denied", missing, 0);
    let wrong = (100_000..200_000_u32).filter(|key| filter.may_contain(key.to_le_bytes())).count();
    page.within("of 100,000 that are not, not denied", f64::from(u32::try_from(wrong)?) / 1e3, " %", 0.0..=1.2);
    page.shows("bytes", filter.stats().bytes);
    filter.note_removed(60_000);
    page.holds("after 60,000 removals, it asks to be rebuilt", filter.needs_rebuild(), true);
    let rest = 60_000..100_000_u32;
    filter.rebuild(40_000, |add| rest.for_each(|key| add(&key.to_le_bytes())));
    let passing = (0..60_000_u32).filter(|key| filter.may_contain(key.to_le_bytes())).count();
    page.within(
        "rebuilt: of the removed keys, not denied",
        f64::from(u32::try_from(passing)?) / 600.0,
        " %",
        0.0..=1.2,
    );
    Ok(())
}
