//! The folder of a run's databases and logs: a temporary one that goes away with the run, unless it is to be kept.

use crate::options::DemoOptions;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the databases and logs of a run are.
pub(crate) enum Folder {
    Given(PathBuf),
    Temporary(Option<TempDir>, PathBuf),
}

impl Folder {
    /// The folder that the options name, or a new one.
    ///
    /// # Errors
    /// When it can't be made or isn't empty.
    pub(crate) fn choose(options: &DemoOptions) -> anyhow::Result<Self> {
        let Some(path) = &options.data else {
            let folder = tempfile::Builder::new()
                .prefix("amends-demo-")
                .tempdir()
                .context("no temporary folder")?;
            let path = folder.path().to_owned();
            let mut folder = Self::Temporary(Some(folder), path);
            if options.keep {
                folder.keep();
            }
            return Ok(folder);
        };
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the folder `{}`", path.display()))?;
        if std::fs::read_dir(path)?.next().is_some() {
            bail!(
                "the folder `{}` is not empty; each run needs a folder of its own",
                path.display()
            );
        }
        Ok(Self::Given(path.canonicalize()?))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Temporary(_, path) => path,
        }
    }

    /// From now on it outlives the run.
    pub(crate) fn keep(&mut self) {
        if let Self::Temporary(folder, _) = self
            && let Some(folder) = folder.take()
        {
            let _ = folder.keep();
        }
    }
}
