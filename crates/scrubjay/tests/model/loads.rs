//! What a call with a loader may come to: the four who may answer are the entry while it is fresh, the entry past its time, an
//! error that is remembered, and the loader.

use super::config::{Face, key};
use super::reference::{Entry, Reference, State, Trouble, Verdict, ensure};
use super::subject::{Answer, End, Load, Meanwhile, Outcome, Seen};
use scrubjay::ErrorKind;

/// Where nothing else says how long a refresh that failed is left alone.
const REFRESH_RETRY_MS: u64 = 1_000;

/// How a loader failed one key's callers.
fn failure(end: End) -> Option<ErrorKind> {
    match end {
        End::Answers => None,
        End::Error | End::Panic => Some(ErrorKind::Loader),
        End::Short => Some(ErrorKind::Invalid),
    }
}

impl Reference {
    /// Judges one key's outcome by the state that it had before the call.
    pub(crate) fn check_load(&self, number: usize, load: &Load, is_asked: bool, outcome: Outcome) -> Verdict {
        let state = &self.states[number];
        let kept = state.entry.as_ref().and_then(|entry| entry.version).map(|version| Seen { key: number, version });
        let text = || format!("key {number}: {outcome:?}, loader asked: {is_asked}, {state:?}");
        let served = matches!(outcome, Ok(Some(seen)) if Some(seen) == kept);
        if is_asked {
            self.check_may_ask(state).map_err(|what| format!("{what}: {}", text()))?;
        } else {
            self.check_need_not_ask(state).map_err(|what| format!("{what}: {}", text()))?;
        }
        if served {
            return self.check_served(state, load.end, is_asked).map_err(|what| format!("{what}: {}", text()));
        }
        let is_at_once = |entry: &Entry| {
            let window_ms = self.config.stale_while_revalidate_ms;
            self.now_ms >= entry.fresh_least_ms && self.is_surely_stale_within(entry, window_ms)
        };
        let is_due = self.config.holds_all() && state.entry.as_ref().is_some_and(is_at_once);
        ensure!(!is_due, "a value past its time should have been served at once: {}", text());
        if !is_asked {
            let is_absence = outcome == Ok(None)
                && state
                    .entry
                    .as_ref()
                    .is_some_and(|entry| entry.version.is_none() && self.now_ms < entry.fresh_most_ms);
            let is_remembered = self.backs_off(state).is_some_and(|kind| outcome == Err(kind));
            ensure!(is_absence || is_remembered, "nobody may have answered that: {}", text());
            return Ok(());
        }
        let expected = match (failure(load.end), &load.answers[number]) {
            (Some(kind), _) => Err(kind),
            (None, Answer::Value(new) | Answer::NotStored(new)) => Ok(Some(Seen { key: number, version: new.version })),
            (None, Answer::Absent { .. }) => Ok(None),
        };
        ensure!(outcome == expected, "the loader said {expected:?}: {}", text());
        let is_safe = |entry: &Entry| self.is_surely_stale_within(entry, self.config.max_stale_ms);
        let is_saved = self.config.holds_all() && state.entry.as_ref().is_some_and(is_safe);
        ensure!(outcome.is_ok() || !is_saved, "a value past its time should have been served: {}", text());
        Ok(())
    }

    /// The entry was served.
    fn check_served(&self, state: &State, end: End, is_asked: bool) -> Verdict {
        let Some(entry) = &state.entry else { return Err("there is no entry".to_owned()) };
        if self.now_ms < entry.fresh_most_ms {
            return Ok(());
        }
        let is_revalidated = self.is_stale_within(entry, self.config.stale_while_revalidate_ms);
        let is_left_alone = state.trouble.as_ref().is_some_and(|trouble| self.now_ms < trouble.throttle_until_ms);
        let has_failed = is_asked && end != End::Answers || is_left_alone;
        let is_safe = has_failed && self.is_stale_within(entry, self.config.max_stale_ms);
        ensure!(is_revalidated || is_safe, "it is past its time");
        ensure!(
            is_asked || is_left_alone || self.backs_off(state).is_some(),
            "no refresh was begun behind a stale value"
        );
        Ok(())
    }

    fn check_may_ask(&self, state: &State) -> Verdict {
        ensure!(self.backs_off(state).is_none(), "the loader is to be left alone");
        let Some(entry) = state.entry.as_ref().filter(|_| self.config.holds_all()) else { return Ok(()) };
        let is_due = self.may_be_due() && entry.version.is_some();
        ensure!(is_due || self.now_ms >= entry.fresh_least_ms, "the loader was asked for what is there");
        let is_left_alone = state.trouble.as_ref().is_some_and(|trouble| self.now_ms < trouble.throttle_until_ms);
        let is_spared = is_left_alone && self.is_surely_stale_within(entry, self.config.max_stale_ms);
        ensure!(!is_spared, "the loader is to be left alone, since there is a stale value");
        Ok(())
    }

    fn check_need_not_ask(&self, state: &State) -> Verdict {
        ensure!(
            state.entry.is_some() || self.backs_off(state).is_some(),
            "the loader was not asked, and nothing is there"
        );
        Ok(())
    }

    /// The error that is given again until the back-off ends.
    fn backs_off(&self, state: &State) -> Option<ErrorKind> {
        let trouble = state.trouble.as_ref().filter(|trouble| self.now_ms < trouble.back_off_until_ms)?;
        Some(trouble.kind)
    }

    fn is_surely_stale_within(&self, entry: &Entry, window_ms: u64) -> bool {
        entry.version.is_some() && self.now_ms < entry.fresh_least_ms.saturating_add(window_ms)
    }

    /// What the loader has made of a key that it was asked for.
    pub(crate) fn loaded(&mut self, number: usize, load: &Load) {
        let (is_ours, mut is_valid) = (!self.revoked_by(number, &load.meanwhile), true);
        match &load.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Remove => self.revoke(number),
            Meanwhile::Insert(new) => {
                self.revoke(number);
                self.put(number, new);
            }
            Meanwhile::Clear => self.clear(),
            Meanwhile::Prefix(prefix) => self.remove_by_prefix(prefix),
            Meanwhile::Tag(tag) => {
                self.remove_by_tag(*tag);
                let is_kept = |new: &super::subject::New| self.fits(number, new) && new.tags.contains(tag);
                is_valid = !matches!(&load.answers[number], Answer::Value(new) if is_kept(new));
            }
        }
        if !is_ours {
            return;
        }
        if let Some(kind) = failure(load.end) {
            return self.failed(number, kind);
        }
        if is_valid {
            self.states[number] = State::default();
            self.answered(number, &load.answers[number]);
        }
    }

    fn answered(&mut self, number: usize, answer: &Answer) {
        match answer {
            Answer::Value(new) if self.fits(number, new) => self.put(number, new),
            Answer::Absent { ttl_ms: Some(ttl_ms) } => self.put_entry(number, None, Some(*ttl_ms), &[]),
            Answer::Absent { ttl_ms: None } if self.config.negative_ttl_ms > 0 => {
                self.put_entry(number, None, Some(self.config.negative_ttl_ms), &[]);
            }
            Answer::Value(_) | Answer::NotStored(_) | Answer::Absent { .. } => {}
        }
    }

    fn failed(&mut self, number: usize, kind: ErrorKind) {
        if self.config.face == Face::Memory {
            return;
        }
        let refreshes = self.config.stale_while_revalidate_ms > 0 || self.config.refresh_ahead > 0.0;
        let throttle_ms = match (self.config.max_stale_ms, refreshes) {
            (1.., _) => self.config.throttle_ms,
            (0, true) => REFRESH_RETRY_MS,
            (0, false) => 0,
        };
        self.states[number].trouble = Some(Trouble {
            kind,
            throttle_until_ms: self.now_ms + throttle_ms,
            back_off_until_ms: self.now_ms + self.config.back_off_ms,
        });
    }

    fn revoked_by(&self, number: usize, meanwhile: &Meanwhile) -> bool {
        match meanwhile {
            Meanwhile::Nothing | Meanwhile::Tag(_) => false,
            Meanwhile::Remove | Meanwhile::Insert(_) | Meanwhile::Clear => true,
            // `retain` does not know which keys it will take out.
            Meanwhile::Prefix(prefix) => self.config.face == Face::Memory || key(number).starts_with(prefix.as_str()),
        }
    }
}
