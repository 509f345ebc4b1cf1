//! The cache's way to the object tier: what lies there, decoded, and what is to lie there, encoded.
//!
//! What the cache changes there takes hold in this process at once; a removal that others must not miss is waited for
//! ([`settle_objects`](Shared::settle_objects)). Where there is a remote tier as well, that comes before its removal there: whoever takes a
//! lease after that finds neither, and whoever had one before is refused.

use super::beneath::{Descent, Raised};
use super::far::FoundFar;
use super::on_remote::Given;
use super::{Found, OnObject, Shared, Start};
use crate::kept::{Kept, NewKept};
use crate::key::Key;
use crate::object::{self, Encoded, ObjectBorn, Settled};
use crate::stats::{Came, Place};
use crate::stored::Stored;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// The entry that was found, decoded, if it counts.
    pub(super) fn raise_object(
        &self,
        object: &OnObject<V>,
        given: Given<'_>,
        found: &object::Found,
    ) -> Option<Raised<V>> {
        // The tier has judged it already, by what all processes have stamped.
        let is_valid = |_: &Kept<'_>| true;
        object.tier.read(given.key_bytes, found, is_valid, |kept, payload| {
            let mut raised = self.decode(&*object.codec, kept, payload)?;
            raised.born = given.born;
            Ok(raised)
        })
    }

    /// Looks in the object tier, and counts what that came to.
    pub(super) async fn find_in_objects(
        &self,
        object: &OnObject<V>,
        (hash, descent): (u64, Descent<K>),
        start: Start,
    ) -> FoundFar<V> {
        let found = object.tier.get(&descent.key_bytes).await;
        self.found_in_objects(object, (hash, descent), found.as_ref(), start)
    }

    /// What was found there is worth to the caller, which is counted.
    pub(super) fn found_in_objects(
        &self,
        object: &OnObject<V>,
        (hash, descent): (u64, Descent<K>),
        found: Option<&object::Found>,
        start: Start,
    ) -> FoundFar<V> {
        let given = Given { key_bytes: &descent.key_bytes, born: descent.born };
        let raised = found.and_then(|found| self.raise_object(object, given, found));
        let Some(raised) = raised else {
            self.counters.lookup(Place::Object, Came::Miss);
            return Found::Miss.into();
        };
        self.found_far(Place::Object, (hash, descent), raised, start)
    }

    /// What an insert or load that begins now is born with there.
    pub(super) fn object_born(&self) -> Option<ObjectBorn> {
        self.object.as_ref().map(|object| object.tier.born())
    }

    /// An entry as the object tier keeps it. `None` if it cannot be kept there, which the tier counts.
    pub(super) fn encode_object(
        &self,
        object: &OnObject<V>,
        new: &NewKept<'_>,
        stored: &Stored<V>,
        born: ObjectBorn,
    ) -> Option<Encoded> {
        let write = stored.value.as_ref().map(|value| |out: &mut Vec<u8>| object.codec.encode(value, out));
        object.tier.encode(new, born, write)
    }

    /// Waits until the store has the removals that were made so far. Whether it has.
    pub(super) async fn settle_objects(&self) -> bool {
        match &self.object {
            Some(object) => object.tier.settle().await == Settled::Gone,
            None => true,
        }
    }
}
