//! A broker as a real process: started, killed with SIGKILL, started again where it was. It knows nothing of reports.

use crate::kept::{Kept, Server};
use anyhow::Context;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::process::Command;

/// How often a new broker looks for another port, when somebody took the one that was free.
const PORTS: u32 = 5;

/// How a broker is started.
#[derive(Clone)]
pub(crate) struct Launch {
    /// For messages, and the name of its log.
    pub(crate) name: &'static str,
    /// Its program.
    pub(crate) program: PathBuf,
    /// What it is given, by its folder and port.
    pub(crate) arguments: fn(&Path, u16) -> anyhow::Result<Vec<OsString>>,
}

/// The process of a broker.
pub(crate) struct BrokerProcess {
    launch: Launch,
    folder: PathBuf,
    port: u16,
    kept: Kept,
}

impl BrokerProcess {
    /// Starts it on a free port, and returns when it takes connections.
    ///
    /// # Errors
    /// When it can't be started or doesn't come up.
    pub(crate) async fn start(launch: Launch, folder: &Path) -> anyhow::Result<Arc<Self>> {
        let mut tries = 1;
        loop {
            let process = Self::on_free_port(launch.clone(), folder)?;
            match process.kept.start(&process).await {
                Ok(()) => return Ok(Arc::new(process)),
                Err(why) if tries >= PORTS => return Err(why),
                Err(_) => tries += 1,
            }
        }
    }

    fn on_free_port(launch: Launch, folder: &Path) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let port = free.local_addr()?.port();
        let kept = Kept::new(launch.name, folder.join(format!("{}.log", launch.name)));
        Ok(Self { launch, folder: folder.to_owned(), port, kept })
    }

    /// Where it listens on 127.0.0.1; stays the same over restarts.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As [`Kept::kill`].
    pub(crate) async fn kill(&self) -> bool {
        self.kept.kill().await
    }

    /// Starts it again with what it had, at the same address.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        self.kept.revive(self).await
    }
}

impl Server for BrokerProcess {
    fn program(&self, command: &mut Command) -> anyhow::Result<()> {
        let Launch { program, arguments, .. } = &self.launch;
        command.arg(program).args(arguments(&self.folder, self.port)?);
        Ok(())
    }

    async fn is_there(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok()
    }
}
