//! A line to a PostgreSQL that can be cut in one direction: nothing gets through that way, nothing is closed, and what
//! was on its way arrives once the line is whole again, as over a network that loses and repeats packets.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use tempfile::TempDir;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToDatabase,
    FromDatabase,
}

/// What all connections look at before they pass anything on.
#[derive(Default)]
struct Gate {
    cut: Mutex<Option<Way>>,
    mended: Condvar,
}

/// The line.
pub struct Relay {
    folder: TempDir,
    gate: Arc<Gate>,
}

impl Relay {
    /// To the socket of a server in this folder. It ends with the test's process.
    pub fn to(server: &Path, port: u16) -> Self {
        let folder = super::scratch();
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(folder.path().join(&name)).expect("our folder");
        let (gate, there) = (Arc::new(Gate::default()), server.join(name));
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                // A server that is away refuses, and so does the line.
                let Ok(there) = UnixStream::connect(&there) else { continue };
                let ends = [&here, &there].map(|end| end.try_clone().expect("a descriptor"));
                let [from_here, from_there] = ends;
                let (to, from) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || pass_on(from_here, there, Way::ToDatabase, &to));
                std::thread::spawn(move || pass_on(from_there, here, Way::FromDatabase, &from));
            }
        });
        Self { folder, gate }
    }

    /// Where a client finds the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on nothing gets through that way.
    pub fn cut(&self, way: Way) {
        *self.gate.cut.lock().expect("not poisoned") = Some(way);
    }

    /// All gets through again.
    pub fn mend(&self) {
        *self.gate.cut.lock().expect("not poisoned") = None;
        self.gate.mended.notify_all();
    }
}

impl Gate {
    fn pass(&self, way: Way) {
        let cut = self.cut.lock().expect("not poisoned");
        drop(self.mended.wait_while(cut, |cut| *cut == Some(way)).expect("not poisoned"));
    }
}

/// Until one end is closed, which the other is told in its turn.
fn pass_on(mut from: UnixStream, mut to: UnixStream, way: Way, gate: &Gate) {
    let mut bytes = [0; 16_384];
    loop {
        let count = from.read(&mut bytes).unwrap_or(0);
        gate.pass(way);
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            let _ = to.shutdown(Shutdown::Write); // it may be gone
            let _ = from.shutdown(Shutdown::Read);
            return;
        }
    }
}
