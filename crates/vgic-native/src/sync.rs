//! The standard library's locks, for what is not the engine's: they have no state outside themselves, so that new ones
//! work in a child of `fork`. A panic of one thread is not one of the next: poison is ignored.

use std::sync::PoisonError;
use std::time::Duration;

/// A mutex.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

/// What holds a [`Mutex`].
pub type Guard<'a, T> = std::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// Around a value.
    pub const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Takes it.
    pub fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Without anybody who waits.
    pub const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    /// Waits; may return early.
    pub fn wait<'a, T>(&self, guard: Guard<'a, T>) -> Guard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for so long at most; true in the second place if the time has passed.
    pub fn wait_for<'a, T>(&self, guard: Guard<'a, T>, time: Duration) -> (Guard<'a, T>, bool) {
        let (guard, waited) = self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner);
        (guard, waited.timed_out())
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A reader-writer lock around nothing: who reads keeps out who writes.
#[derive(Debug, Default)]
pub struct RwLock(std::sync::RwLock<()>);

impl RwLock {
    /// Free.
    pub const fn new() -> Self {
        RwLock(std::sync::RwLock::new(()))
    }

    /// Keeps writers out until the guard is dropped.
    pub fn read(&self) -> impl Drop + '_ {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everybody out until the guard is dropped.
    pub fn write(&self) -> impl Drop + '_ {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
