//! Whether a file with a key or a secret is kept to those who need it.

use std::path::Path;

/// What to say of a file that every user of the machine may read or write; none if only its owner and its group may.
/// Containers commonly give a group what the process needs, and nobody else is in it.
#[cfg(unix)]
pub(crate) fn readable_by_others(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    /// Reading, writing and executing, for those who are neither the owner nor in the group.
    const OTHERS: u32 = 0o7;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & OTHERS != 0).then(|| {
        let shown = file.display();
        format!(
            "every user of this machine may use `{shown}` (its mode is {:03o}), and it holds a secret; `chmod 600 {shown}` keeps it to its owner (in Kubernetes: `defaultMode: 0400` of the secret's volume)",
            mode & 0o777
        )
    })
}

#[cfg(not(unix))]
pub(crate) fn readable_by_others(_: &Path) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_for_its_owner_and_its_group() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = folder.path().join("key.pem");
        fs::write(&key, "x").expect("written");
        for (mode, kept) in
            [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o602, false)]
        {
            fs::set_permissions(&key, Permissions::from_mode(mode)).expect("set");
            let said = readable_by_others(&key);
            assert_eq!(said.is_none(), kept, "{mode:o}: {said:?}");
        }
        let said = readable_by_others(&key).unwrap_or_default();
        assert!(said.contains("602") && said.contains("chmod 600"), "{said}");
        assert_eq!(readable_by_others(&folder.path().join("none")), None);
    }
}
