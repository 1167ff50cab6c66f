//! The supervisor as a real process: started, killed, started again on the same data. It knows nothing of cases.

use crate::process::{START_LIMIT, end, open_log};
use anyhow::{Context, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, oneshot};

/// The supervisor as a process.
pub struct SupervisorProcess {
    exe: PathBuf,
    folder: PathBuf,
    rules: PathBuf,
    address: OnceLock<String>,
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl SupervisorProcess {
    /// Starts the supervisor with a rulebook and waits until it listens.
    ///
    /// # Errors
    /// When the process can't be started or doesn't come up.
    pub async fn start(exe: &Path, folder: &Path, rules: &Path) -> anyhow::Result<Arc<Self>> {
        let supervisor = Arc::new(Self {
            exe: exe.to_owned(),
            folder: folder.to_owned(),
            rules: rules.to_owned(),
            address: OnceLock::new(),
            running: Mutex::default(),
        });
        let mut running = supervisor.running.lock().await;
        *running = Some(supervisor.spawn().await?);
        drop(running);
        Ok(supervisor)
    }

    /// Its base URL; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address.get().map_or("127.0.0.1:9", String::as_str))
    }

    /// Kills it with SIGKILL; it stays down until [`Self::revive`]. Says whether there was a process to kill.
    pub async fn kill(&self) -> bool {
        let Some((mut child, _)) = self.running.lock().await.take() else { return false };
        // It may have ended by itself; then there is nothing to kill.
        let _ = child.kill().await;
        true
    }

    /// Starts it again on the same data and at the same address.
    ///
    /// # Errors
    /// When it doesn't come up again.
    pub async fn revive(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            *running = Some(
                self.spawn().await.context("the supervisor doesn't come up after it was killed")?,
            );
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it doesn't.
    pub async fn end(&self) {
        if let Some((child, stdin)) = self.running.lock().await.take() {
            drop(stdin);
            end(child).await;
        }
    }

    async fn spawn(&self) -> anyhow::Result<(Child, ChildStdin)> {
        let mut child = Command::new(&self.exe)
            .arg("serve")
            .arg("--rules")
            .arg(&self.rules)
            .arg("--data")
            .arg(self.folder.join("supervisor"))
            .args(["--listen", self.address.get().map_or("127.0.0.1:0", String::as_str)])
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(open_log(&self.folder.join("supervisor.out"))?)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.exe.display()))?;
        let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
            bail!("the supervisor has no pipes");
        };
        let (found, address) = oneshot::channel();
        let mut log = open_log(&self.folder.join("supervisor.log"))?;
        tokio::spawn(async move {
            let mut found = Some(found);
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = writeln!(log, "{line}");
                if let Some(address) = listening_address(&line)
                    && let Some(found) = found.take()
                {
                    let _ = found.send(address);
                }
            }
        });
        let address = tokio::time::timeout(START_LIMIT, address)
            .await
            .context("the supervisor doesn't say that it is listening")?
            .with_context(|| {
                format!(
                    "the supervisor ended at once; see `supervisor.log` in {}",
                    self.folder.display()
                )
            })?;
        let _ = self.address.set(address);
        Ok((child, stdin))
    }
}

/// The address in `listening on http://127.0.0.1:4711`, wherever in the line it stands.
fn listening_address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on http://")?;
    let end =
        rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::listening_address;

    #[test]
    fn the_address_is_found_wherever_it_stands_in_the_line() {
        let address = Some("127.0.0.1:4711".to_owned());
        assert_eq!(listening_address("listening on http://127.0.0.1:4711"), address);
        assert_eq!(
            listening_address("INFO amends: listening on http://127.0.0.1:4711, data in /x"),
            address
        );
        assert_eq!(listening_address("loading rules"), None);
    }
}
