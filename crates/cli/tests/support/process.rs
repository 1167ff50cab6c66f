//! A process that a test starts. It has no stream of the test's own, and it is gone with all that it started when the
//! test is over, however the test ends.
//!
//! It stays in the test's process group, so that Ctrl-C and a runner's time limit reach it, too.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Output, Stdio};

/// What the three streams of a process are. Whatever is not said is nothing: a process that is still ending would
/// keep a stream of the test's open, and the test's runner would take it for a leak.
pub struct Streams {
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
}

impl Streams {
    pub fn none() -> Self {
        Self { stdin: Stdio::null(), stdout: Stdio::null(), stderr: Stdio::null() }
    }
}

/// A running process and all that it started.
pub struct Process(Option<Child>);

impl Process {
    /// Starts it; fails the test with this advice when it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command, streams: Streams, advice: &str) -> Self {
        let Streams { stdin, stdout, stderr } = streams;
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect(advice);
        Self(Some(child))
    }

    /// Waits until it ends by itself; gives what it said on its pipes.
    pub fn output(mut self) -> Output {
        let child = self.0.take().expect("it is taken here alone");
        child.wait_with_output().expect("it is our child")
    }

    /// `kill -9` for it and all that it started: no time for a last word.
    pub fn kill(&mut self) {
        let Some(child) = &mut self.0 else { return };
        // What has been waited for may have given its number to somebody else.
        if matches!(child.try_wait(), Ok(None)) {
            let started = descendants(child.id());
            let _ = child.kill(); // it may have ended meanwhile
            for id in started {
                // An id that is gone is what we want.
                let _ = Command::new("kill").args(["-KILL", &id.to_string()]).output();
            }
        }
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("it is taken by its end alone")
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is taken by its end alone")
    }
}

/// Every process that this one and its children started and that still runs, as far as the system tells.
fn descendants(id: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            let children = children.split_whitespace().filter_map(|id| id.parse().ok());
            let children: Vec<u32> = children.collect();
            open.extend(&children);
            found.extend(children);
        }
    }
    found
}
