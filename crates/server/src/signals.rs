//! What the system says to the process, and the process to systemd.

use std::io;
use tokio::sync::watch;

/// What a person or a program wants of the process.
pub(crate) enum Signal {
    Stop(&'static str),
    Look,
}

#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    parent: watch::Receiver<bool>,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new(exit_with_parent: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            parent: parent(exit_with_parent)?,
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hang_up.recv() => Signal::Look,
            () = gone(&mut self.parent) => Signal::Stop("the standard input ended"),
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals {
    parent: watch::Receiver<bool>,
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new(exit_with_parent: bool) -> io::Result<Self> {
        Ok(Self { parent: parent(exit_with_parent)? })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Signal::Stop("Ctrl-C"),
            () = gone(&mut self.parent) => Signal::Stop("the standard input ended"),
        }
    }
}

/// Turns true when the standard input ends. A thread of its own reads it: a runtime would wait for the read for ever.
fn parent(watched: bool) -> io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        if watched {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink()); // an error is an end as well
            let _ = sender.send(true); // nobody waits any more
        }
    })?;
    Ok(receiver)
}

async fn gone(parent: &mut watch::Receiver<bool>) {
    if parent.wait_for(|gone| *gone).await.is_err() {
        std::future::pending::<()>().await; // it is not watched
    }
}

/// Tells systemd (`Type=notify`), if it asked for it. Failing to tell is no reason to fail.
#[cfg(target_os = "linux")]
pub(crate) fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let told = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd could not be told `{state}`");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn notify(_state: &str) {}
