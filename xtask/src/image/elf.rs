//! For which machine a program is, by its first bytes.

use anyhow::{Context, bail};

/// The machine's name as OCI calls it. Only one of this machine's kind is taken: the libraries beside it are this
/// machine's.
pub fn architecture(program: &[u8]) -> anyhow::Result<&'static str> {
    let head = program.first_chunk::<20>().filter(|head| head.starts_with(b"\x7fELF"));
    let head = head.context("it is no program of Linux")?;
    let (found, ours) = match u16::from_le_bytes([head[18], head[19]]) {
        62 => ("amd64", "x86_64"),
        183 => ("arm64", "aarch64"),
        other => {
            bail!("it is for a machine of the number {other}; images are made for amd64 and arm64")
        }
    };
    if ours != std::env::consts::ARCH {
        bail!("it is for {found}: make its image on such a machine, whose libraries it needs");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::architecture;

    fn program(machine: u8) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.resize(64, 0);
        bytes[18] = machine;
        bytes
    }

    #[test]
    fn only_a_program_for_this_machine_is_taken() {
        let (ours, other) = if cfg!(target_arch = "x86_64") { (62, 183) } else { (183, 62) };
        assert!(architecture(&program(ours)).is_ok());
        for (bytes, says) in [
            (program(other), "make its image on such a machine"),
            (program(3), "images are made for amd64 and arm64"),
            (b"#!/bin/sh\necho a script and nothing else".to_vec(), "it is no program of Linux"),
            (b"\x7fELF".to_vec(), "it is no program of Linux"),
        ] {
            let told = architecture(&bytes).expect_err("it is not ours").to_string();
            assert!(told.contains(says), "{told}");
        }
    }
}
