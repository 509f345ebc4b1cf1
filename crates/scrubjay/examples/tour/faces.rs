//! The faces for programs without a runtime: memory alone, and the whole cache with calls that block.

use crate::Failure;
use crate::page::Page;
use scrubjay::{BlockingCache, Cache, Compressed, Memory, MemoryCache};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

const THREADS: usize = 8;

pub(crate) fn show(page: &mut Page) -> Result<(), Failure> {
    memory(page)?;
    blocking(page)
}

fn memory(page: &mut Page) -> Result<(), Failure> {
    page.section("MemoryCache: the memory tier alone, without a runtime");
    let words: MemoryCache<String, u64> = MemoryCache::builder().memory(Memory::bytes(1 << 20)).build()?;
    let (calls, line) = (AtomicU64::new(0), Barrier::new(THREADS));
    let compute = || {
        line.wait();
        words.get_or_insert_with("jay", || {
            // Not before the others wait for it.
            while words.stats().waiting < THREADS as u64 {
                thread::yield_now();
            }
            calls.fetch_add(1, Ordering::Relaxed) + 1
        })
    };
    let results: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(compute)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    page.shows("threads that get_or_insert_with the same key", THREADS);
    page.holds("of them, answered", results.len(), THREADS);
    page.holds("computations", calls.load(Ordering::Relaxed), 1);
    words.insert("count".into(), 0)?;
    let count = || (0..1_000).try_for_each(|_| words.update("count", |count| *count += 1).map(|_| ()));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<(), _>>()
    })?;
    page.holds("1,000 updates in place by each: none is lost", words.get("count"), 8_000_u64);
    page.holds("remove returns what was there", words.remove("count"), 8_000_u64);
    page.holds("get after that", words.get("count"), None::<u64>);
    Ok(())
}

fn blocking(page: &mut Page) -> Result<(), Failure> {
    page.section("BlockingCache: the whole cache for programs without a runtime");
    let builder = Cache::builder("files").memory(Memory::bytes(1 << 20)).compressed(Compressed::bytes(4 << 20));
    let files: BlockingCache<String, String> = builder.build_blocking()?;
    let reads = Arc::new(AtomicU64::new(0));
    let read = || {
        let (reads, watched) = (Arc::clone(&reads), files.clone());
        files.get_or_load("jay.txt", move |path| {
            while watched.stats().waiting < THREADS as u64 {
                thread::yield_now();
            }
            reads.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(format!("{path} read"))
        })
    };
    let texts: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(read)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()?.ok()).collect()
    });
    page.shows("threads that get_or_load the same file", THREADS);
    page.holds("of them, answered", texts.len(), THREADS);
    page.holds("reads of the file", reads.load(Ordering::Relaxed), 1);
    page.holds("found afterwards", files.get("jay.txt"), "jay.txt read");
    page.holds("removed", files.remove("jay.txt")?, true);
    files.close()?;
    Ok(())
}
