//! [`Company`]: a second thread that does nothing.
//!
//! A process with one thread, or an RCU domain with one member, ends a grace period at once: there is nobody to wait for.
//! No VM is like that. So that a design which waits for grace periods pays for them also in the modes that measure
//! one thread, an idle thread is a member while any sample is taken.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use vgic_native::NativeCtx;

/// The idle thread; it ends when this is dropped.
pub struct Company {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Company {
    /// Starts the thread; returns when it is a member. Without memory for a thread there is no company.
    #[allow(clippy::new_without_default)] // It starts a thread: not what a default does.
    pub fn new() -> Company {
        let (end, ended) = channel::<()>();
        let (ready, is_ready) = channel::<()>();
        let thread = std::thread::Builder::new().name("company".to_owned()).spawn(move || {
            let _ctx = NativeCtx::new("company");
            let _ = ready.send(());
            let _ = ended.recv();
        });
        let _ = is_ready.recv();
        Company { end: Some(end), thread: thread.ok() }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
