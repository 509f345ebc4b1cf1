//! Judges a history of many processes.
//!
//! A value is *dead* from a removal on that began after the value was there: after its loader had begun to run (a removal wins
//! against every load that started before it), or after its insert had returned. An insert is a removal of what was there
//! before it; one that could not be told to the server gives way to what is stored after it, also by a load that began before. Then no read may return the value that begins after the removal has returned in the same process, ever; nor one of
//! another process that begins later than the bound allows after the removal was confirmed. What a process could not
//! confirm counts for the others once it has settled.
//!
//! And: what is read was written, under that key; it has not expired; no call takes longer than its limits allow.

use super::story::{End, Event, MILLISECOND, Nanos, What};
use std::collections::{BTreeMap, HashMap};

/// What is promised in this history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// After so long a removal of another process holds.
    pub(crate) foreign: Nanos,
    /// So long after its time an entry may be served: clocks of milliseconds, and the way to the server.
    pub(crate) expiry: Nanos,
    /// No call takes longer.
    pub(crate) call: Nanos,
}

/// Processes in the order in which they started, each with its events in the order in which it told them.
pub(crate) type History = Vec<Vec<Event>>;

/// What the checker had to judge: a history in which nothing happens proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) reads: usize,
    /// Reads that returned something.
    pub(crate) found: usize,
    /// Reads that returned what another process has made.
    pub(crate) shared: usize,
    pub(crate) loads: usize,
    pub(crate) inserts: usize,
    pub(crate) removals: usize,
    /// Changes that were not confirmed when they returned.
    pub(crate) deferred: usize,
    /// Reads after which a dead value would have been a fault.
    pub(crate) decisive: usize,
    /// How late processes got to run, at worst.
    pub(crate) late: Nanos,
    /// What is wrong.
    pub(crate) faults: Vec<String>,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug)]
struct Birth {
    process: usize,
    key: u64,
    ttl_ms: u64,
    /// What begins after this is a removal of it.
    dead_from: Option<Nanos>,
    /// When the loader or the insert has returned.
    ended: Option<Nanos>,
    /// An insert that is not known to have reached the server.
    is_deferred: bool,
}

/// A removal, or the removal that lies in an insert.
#[derive(Clone, Copy, Debug)]
struct Removal {
    process: usize,
    what: What,
    begun: Nanos,
    ended: Option<Nanos>,
    end: End,
    /// It lies in an insert.
    is_insert: bool,
}

/// A removal as one process must see it.
#[derive(Clone, Copy, Debug)]
struct Effect {
    /// Reads that begin later are bound by it.
    from: Nanos,
    removal: Removal,
}

/// What all processes did.
struct Facts {
    births: HashMap<u64, Birth>,
    removals: Vec<Removal>,
    /// When each process had settled.
    settled: Vec<Vec<Nanos>>,
}

/// Judges `history`.
pub(crate) fn check(history: &History, bounds: Bounds) -> Judged {
    let mut judged = Judged::default();
    let facts = Facts::gather(history, &mut judged);
    // Who does not get to run cannot hear of anything.
    let foreign = bounds.foreign + judged.late;
    for (process, events) in history.iter().enumerate() {
        let mut effects: BTreeMap<u64, Vec<Effect>> = BTreeMap::new();
        for event in events {
            let Event::Read { begun, at, key, value } = event else { continue };
            judged.reads += 1;
            if at - begun > bounds.call + judged.late {
                judged.faults.push(format!("process {process}: a read of key {key} took {}", ms(at - begun)));
            }
            let Some(value) = value else { continue };
            judged.found += 1;
            let effects = effects.entry(*key).or_insert_with(|| facts.effects(process, *key, foreign));
            let fault = match facts.births.get(value) {
                None => Some("which nobody wrote".to_owned()),
                Some(birth) if birth.key != *key => Some(format!("of key {}", birth.key)),
                Some(birth) => {
                    judged.shared += usize::from(birth.process != process);
                    judged.decisive += usize::from(effects.first().is_some_and(|effect| effect.from < *begun));
                    facts
                        .removed(birth, effects, *begun)
                        .or_else(|| expired(birth, *begun, bounds.expiry + judged.late))
                }
            };
            if let Some(why) = fault {
                let begun = ms(begun - facts.start(history));
                judged.faults.push(format!("process {process}, at {begun}: read {value} under key {key}, {why}"));
            }
        }
    }
    judged
}

impl Facts {
    fn gather(history: &History, judged: &mut Judged) -> Facts {
        let mut facts = Facts { births: HashMap::new(), removals: Vec::new(), settled: Vec::new() };
        for (process, events) in history.iter().enumerate() {
            let mut calls: HashMap<u64, usize> = HashMap::new();
            facts.settled.push(Vec::new());
            for event in events {
                match event {
                    Event::Loading { at, key, value, ttl_ms } => {
                        judged.loads += 1;
                        let birth = Birth::new(process, *key, *ttl_ms, Some(*at));
                        facts.birth(*value, birth, judged);
                    }
                    Event::Loaded { at, value } => {
                        facts.births.entry(*value).and_modify(|birth| birth.ended = Some(*at));
                    }
                    Event::Inserting { at, key, value, ttl_ms } => {
                        judged.inserts += 1;
                        facts.birth(*value, Birth::new(process, *key, *ttl_ms, None), judged);
                        calls.insert(*value, facts.removals.len());
                        let removal = Removal::new(process, What::Key(*key), *at);
                        facts.removals.push(Removal { is_insert: true, ..removal });
                    }
                    Event::Inserted { at, value, end } => {
                        facts.births.entry(*value).and_modify(|birth| {
                            (birth.ended, birth.dead_from) = (Some(*at), Some(*at));
                            birth.is_deferred = *end == End::Deferred;
                        });
                        facts.removal_ended(calls.get(value), *at, *end, judged);
                    }
                    Event::Removing { at, call, what } => {
                        judged.removals += 1;
                        // Values have numbers of their own: a call has one in the other half.
                        calls.insert(u64::MAX - call, facts.removals.len());
                        facts.removals.push(Removal::new(process, *what, *at));
                    }
                    Event::Removed { at, call, end } => {
                        facts.removal_ended(calls.get(&(u64::MAX - call)), *at, *end, judged);
                    }
                    Event::Settled { at } => facts.settled[process].push(*at),
                    Event::Wrong { text, .. } => judged.faults.push(format!("process {process}: {text}")),
                    Event::Late { by, .. } => judged.late = judged.late.max(*by),
                    Event::Read { .. } | Event::Finished { .. } => {}
                }
            }
        }
        facts
    }

    fn birth(&mut self, value: u64, birth: Birth, judged: &mut Judged) {
        if self.births.insert(value, birth).is_some() {
            judged.faults.push(format!("the value {value} was made twice: the history is no history"));
        }
    }

    fn removal_ended(&mut self, number: Option<&usize>, at: Nanos, end: End, judged: &mut Judged) {
        if let Some(removal) = number.and_then(|number| self.removals.get_mut(*number)) {
            (removal.ended, removal.end) = (Some(at), end);
            judged.deferred += usize::from(end == End::Deferred);
        }
    }

    /// When `process` was first known to have settled after `at`.
    fn settled_after(&self, process: usize, at: Nanos) -> Option<Nanos> {
        self.settled[process].iter().copied().find(|settled| *settled > at)
    }

    /// What binds the reads of `process` of that key, in the order in which it does.
    fn effects(&self, process: usize, key: u64, foreign: Nanos) -> Vec<Effect> {
        let from = |removal: &Removal| {
            let ended = removal.ended?;
            match removal.end {
                _ if removal.process == process => Some(ended),
                End::Confirmed => Some(ended + foreign),
                End::Deferred => Some(self.settled_after(removal.process, ended)? + foreign),
            }
        };
        let meant = self.removals.iter().filter(|removal| removal.what.means(key));
        let mut effects: Vec<Effect> =
            meant.filter_map(|removal| Some(Effect { from: from(removal)?, removal: *removal })).collect();
        effects.sort_by_key(|effect| effect.from);
        effects
    }

    /// Why a read that begins then must not return the value any more.
    fn removed(&self, birth: &Birth, effects: &[Effect], begun: Nanos) -> Option<String> {
        let dead_from = birth.dead_from?;
        let kills = |removal: &Removal| {
            // Who had not told the server of its insert may do so later, unless it was the one that removed it.
            let arrived = match removal {
                _ if birth.is_deferred && removal.process != birth.process => {
                    self.settled_after(birth.process, dead_from)?
                }
                // Told to the server later, it gives way to whatever was stored after it: of that only its end is known.
                Removal { is_insert: true, end: End::Deferred, .. } => birth.ended?,
                _ => dead_from,
            };
            removal.begun.checked_sub(arrived).filter(|time| *time > 0)
        };
        let effect =
            effects.iter().take_while(|effect| effect.from < begun).find(|effect| kills(&effect.removal).is_some())?;
        let Removal { process, what, end, is_insert, .. } = effect.removal;
        let kind = if is_insert { "insert" } else { "removal" };
        let (since, before) = (ms(begun - effect.from), ms(kills(&effect.removal)?));
        Some(format!(
            "{since} after the {kind} of {what:?} by process {process} ({end:?}) had to hold; process {} made it {before} before that began",
            birth.process
        ))
    }

    /// When the history began.
    fn start(&self, history: &History) -> Nanos {
        let first = |events: &Vec<Event>| match events.first() {
            Some(Event::Read { begun, .. }) => Some(*begun),
            Some(Event::Loading { at, .. } | Event::Inserting { at, .. } | Event::Removing { at, .. }) => Some(*at),
            _ => None,
        };
        history.iter().filter_map(first).min().unwrap_or(0)
    }
}

impl Birth {
    fn new(process: usize, key: u64, ttl_ms: u64, dead_from: Option<Nanos>) -> Birth {
        Birth { process, key, ttl_ms, dead_from, ended: None, is_deferred: false }
    }
}

impl Removal {
    fn new(process: usize, what: What, begun: Nanos) -> Removal {
        Removal { process, what, begun, ended: None, end: End::Deferred, is_insert: false }
    }
}

fn expired(birth: &Birth, begun: Nanos, slack: Nanos) -> Option<String> {
    let expires = birth.ended.filter(|_| birth.ttl_ms > 0)? + birth.ttl_ms * MILLISECOND;
    (begun > expires + slack).then(|| format!("{} after it expired", ms(begun - expires)))
}

fn ms(time: Nanos) -> String {
    format!("{} ms", time / MILLISECOND)
}
