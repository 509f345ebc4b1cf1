//! Loom's atomics in the form of the standard library's: made in `const`, lying in statics, valid when zeroed.
//!
//! Loom's own are made in one execution and die with it. So each of these is a name for one that is made when it is first
//! used in an execution. Each has a cell beside it that loom watches: written when the atomic is made and when it is dropped,
//! read by every access. So memory that is used before it was shared, or after it was given back, is found.

use super::super::sync::Ordering;
use super::life::Life;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Word;

pub(in crate::memory) use loom::sync::MutexGuard;

type Objects = Vec<Arc<dyn Any + Send + Sync>>;

/// The loom objects of this execution.
static OBJECTS: std::sync::Mutex<Objects> = std::sync::Mutex::new(Objects::new());
static EXECUTION: Word = Word::new(0);

/// To be called as each execution begins.
pub(in crate::memory) fn begin() {
    let old = std::mem::take(&mut *OBJECTS.lock().unwrap());
    drop(old);
    EXECUTION.fetch_add(1, Ordering::SeqCst);
}

/// An atomic and the cell that says when it may be used.
struct Object<A> {
    atomic: A,
    life: Life,
}

/// Which object it is, and of which execution: 0 before the first use.
#[derive(Default)]
struct Place(Word);

impl Place {
    fn object<A: Any + Send + Sync>(&self, make: impl FnOnce() -> A) -> Arc<Object<A>> {
        let execution = EXECUTION.load(Ordering::SeqCst);
        if self.0.load(Ordering::SeqCst) >> 32 != execution {
            let object = Arc::new(Object { atomic: make(), life: Life::begin() });
            let mut objects = OBJECTS.lock().unwrap();
            self.0.store(execution << 32 | objects.len() as u64, Ordering::SeqCst);
            objects.push(object);
        }
        let index = (self.0.load(Ordering::SeqCst) & 0xffff_ffff) as usize;
        let object = Arc::clone(&OBJECTS.lock().unwrap()[index]);
        object.downcast::<Object<A>>().unwrap()
    }

    fn access<A: Any + Send + Sync, R>(&self, make: impl FnOnce() -> A, access: impl FnOnce(&A) -> R) -> R {
        let object = self.object(make);
        object.life.look();
        access(&object.atomic)
    }

    fn end<A: Any + Send + Sync>(&self) {
        let is_used = self.0.load(Ordering::SeqCst) >> 32 == EXECUTION.load(Ordering::SeqCst);
        if is_used && !std::thread::panicking() {
            self.object::<A>(|| unreachable!()).life.end();
        }
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        pub(in crate::memory) struct $name {
            initial: $value,
            place: Place,
        }

        impl $name {
            pub(in crate::memory) const fn new(initial: $value) -> $name {
                $name { initial, place: Place(Word::new(0)) }
            }

            fn access<R>(&self, access: impl FnOnce(&loom::sync::atomic::$name) -> R) -> R {
                self.place.access(|| loom::sync::atomic::$name::new(self.initial), access)
            }

            pub(in crate::memory) fn load(&self, ordering: Ordering) -> $value {
                self.access(|atomic| atomic.load(ordering))
            }

            pub(in crate::memory) fn store(&self, value: $value, ordering: Ordering) {
                self.access(|atomic| atomic.store(value, ordering));
            }
        }

        impl Default for $name {
            fn default() -> $name {
                let atomic = $name::new(<$value>::default());
                // Made by whoever makes what it is a part of.
                atomic.access(|_| ());
                atomic
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.place.end::<loom::sync::atomic::$name>();
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);

impl AtomicBool {
    pub(in crate::memory) fn compare_exchange(
        &self,
        old: bool,
        new: bool,
        success: Ordering,
        failure: Ordering,
    ) -> Result<bool, bool> {
        self.access(|atomic| atomic.compare_exchange(old, new, success, failure))
    }
}

impl AtomicU32 {
    pub(in crate::memory) fn fetch_add(&self, value: u32, ordering: Ordering) -> u32 {
        self.access(|atomic| atomic.fetch_add(value, ordering))
    }

    pub(in crate::memory) fn fetch_sub(&self, value: u32, ordering: Ordering) -> u32 {
        self.access(|atomic| atomic.fetch_sub(value, ordering))
    }
}

/// A pointer, which loom sees as its address.
pub(in crate::memory) struct AtomicPtr<T> {
    initial: std::sync::atomic::AtomicPtr<T>,
    place: Place,
    _pointer: PhantomData<fn() -> T>,
}

impl<T> AtomicPtr<T> {
    pub(in crate::memory) const fn new(initial: *mut T) -> AtomicPtr<T> {
        AtomicPtr {
            initial: std::sync::atomic::AtomicPtr::new(initial),
            place: Place(Word::new(0)),
            _pointer: PhantomData,
        }
    }

    fn access<R>(&self, access: impl FnOnce(&loom::sync::atomic::AtomicUsize) -> R) -> R {
        let initial = || self.initial.load(Ordering::SeqCst).expose_provenance();
        self.place.access(|| loom::sync::atomic::AtomicUsize::new(initial()), access)
    }

    pub(in crate::memory) fn load(&self, ordering: Ordering) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.access(|atomic| atomic.load(ordering)))
    }

    pub(in crate::memory) fn store(&self, pointer: *mut T, ordering: Ordering) {
        self.access(|atomic| atomic.store(pointer.expose_provenance(), ordering));
    }

    pub(in crate::memory) fn swap(&self, pointer: *mut T, ordering: Ordering) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.access(|atomic| atomic.swap(pointer.expose_provenance(), ordering)))
    }

    pub(in crate::memory) fn get_mut(&mut self) -> &mut *mut T {
        let now = self.load(Ordering::SeqCst);
        let initial = self.initial.get_mut();
        *initial = now;
        initial
    }
}

impl<T> Drop for AtomicPtr<T> {
    fn drop(&mut self) {
        self.place.end::<loom::sync::atomic::AtomicUsize>();
    }
}

pub(in crate::memory) fn fence(ordering: Ordering) {
    loom::sync::atomic::fence(ordering);
}

/// Where writers fence for readers (`membarrier`), a fence of the processor runs where the reader has that of the compiler.
pub(in crate::memory) fn compiler_fence(ordering: Ordering) {
    loom::sync::atomic::fence(ordering);
}

/// In the form of `parking_lot`.
pub(in crate::memory) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(in crate::memory) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(in crate::memory) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }

    pub(in crate::memory) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap()
    }
}

/// What is a thread's own.
pub(in crate::memory) struct Local<T: 'static>(pub(in crate::memory) &'static loom::thread::LocalKey<T>);

impl<T> Local<T> {
    pub(in crate::memory) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, ()> {
        self.0.try_with(f).map_err(|_| ())
    }
}

impl<T: Default> Local<std::cell::Cell<T>> {
    pub(in crate::memory) fn take(&'static self) -> T {
        self.0.try_with(std::cell::Cell::take).unwrap_or_default()
    }

    pub(in crate::memory) fn set(&'static self, value: T) {
        self.0.with(|cell| cell.set(value));
    }
}

impl<T: Copy> Local<std::cell::Cell<T>> {
    pub(in crate::memory) fn get(&'static self) -> T {
        self.0.with(std::cell::Cell::get)
    }
}

macro_rules! local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $init:block;)*) => {
        $($(#[$attribute])* static $name: $crate::memory::model::sync::Local<$type> = {
            loom::thread_local! { static INNER: $type = $init; }
            $crate::memory::model::sync::Local(&INNER)
        };)*
    };
}
pub(in crate::memory) use local as thread_local;
