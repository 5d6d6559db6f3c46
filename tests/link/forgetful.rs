//! A gateway that has let go of each connection after its first answer and hasn't said so: whatever is asked on it next
//! is hung up on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) struct Forgetful {
    /// To use instead of the backend's.
    pub(crate) address: String,
    n_hung_up: Arc<AtomicUsize>,
}

impl Forgetful {
    /// Before the backend at this address.
    pub(crate) fn before(backend: &str) -> Self {
        let backend = backend.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let n_hung_up = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&n_hung_up);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let (backend, counted) = (backend.clone(), Arc::clone(&counted));
                std::thread::spawn(move || {
                    // A platform that has ended at the test's end.
                    let Ok(there) = TcpStream::connect(&backend) else {
                        return;
                    };
                    pass(&here, &there, &counted);
                    let _ = here.shutdown(Shutdown::Both);
                    let _ = there.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, n_hung_up }
    }

    pub(crate) fn n_hung_up(&self) -> usize {
        self.n_hung_up.load(Ordering::Relaxed)
    }
}

/// Passes one call on, and its answer.
fn pass(here: &TcpStream, there: &TcpStream, n_hung_up: &AtomicUsize) {
    let is_answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            relay(there, here, || {
                is_answered.store(true, Ordering::SeqCst);
                true
            });
            let _ = here.shutdown(Shutdown::Both);
        });
        relay(here, there, || {
            let is_next = is_answered.load(Ordering::SeqCst);
            n_hung_up.fetch_add(usize::from(is_next), Ordering::Relaxed);
            !is_next
        });
        let _ = there.shutdown(Shutdown::Both);
    });
}

/// Passes on what comes, until one end closes or a piece may not pass.
fn relay(mut from: &TcpStream, mut to: &TcpStream, mut may_pass: impl FnMut() -> bool) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut piece) {
        if !may_pass() || to.write_all(&piece[..n]).is_err() {
            return;
        }
    }
}
