//! Many callers in many processes want the same cold key at the same moment: the source of truth is asked once.
//!
//! 4 processes of 200 callers by default; `SCRUBJAY_SHARED_STAMPEDE=8x1000` is the size that is promised.

use super::child::COLD;
use super::children::{Process, Told};
use super::story::{Event, MILLISECOND};
use scrubjay_harness::{RedisServer, ScrubjayServer};
use std::sync::Arc;

fn size() -> (usize, usize) {
    let given = std::env::var("SCRUBJAY_SHARED_STAMPEDE").ok();
    let given = given.as_deref().and_then(|size| size.split_once('x'));
    given.map_or((4, 200), |(processes, callers)| (processes.parse().unwrap(), callers.parse().unwrap()))
}

#[test]
fn a_cold_key_is_loaded_once_however_many_processes_ask_for_it() {
    let server = RedisServer::start();
    stampede(&server.url());
}

#[test]
fn a_cold_key_is_loaded_once_on_a_server_without_scripts() {
    let server = ScrubjayServer::start();
    stampede(&server.url());
}

fn stampede(url: &str) {
    let ((processes, callers), told) = (size(), Arc::new(Told::default()));
    let mut processes: Vec<Process> = (0..processes).map(|_| Process::start_idle(&told, url.to_owned())).collect();
    processes.iter_mut().for_each(Process::settle);
    for process in &processes {
        process.wait("serves", |event| matches!(event, Event::Settled { .. }));
    }
    processes.iter_mut().for_each(|process| process.say(&format!("stampede {callers}")));
    for process in &processes {
        process.wait("has answered all callers", |event| matches!(event, Event::Finished { .. }));
    }
    let count = processes.len();
    processes.into_iter().for_each(Process::end);
    let events = told.history().concat();
    let loads: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Loading { .. })).collect();
    let reads = events.iter().filter_map(|event| match event {
        Event::Read { begun, at, key: COLD, value } => Some((at - begun, *value)),
        _ => None,
    });
    let (mut times, values): (Vec<u64>, Vec<Option<u64>>) = reads.unzip();
    assert_eq!(values.len(), count * callers);
    assert!(values.iter().all(|value| *value == values[0] && value.is_some()), "all get the same value");
    let wrong: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Wrong { .. })).collect();
    assert!(loads.len() == 1 && wrong.is_empty(), "{loads:?} {wrong:?}");
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100] / MILLISECOND;
    println!("{count} processes, {callers} callers each: p50 {} ms, p99 {} ms, at most {} ms", at(50), at(99), at(100));
}
