//! Whether an address may be listened on: beyond this machine what is said must be encrypted and whoever comes must be
//! known, unless somebody says in so many words that it need not be so. Pure.

use std::net::SocketAddr;

/// How an address is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// It speaks TLS.
    pub encrypted: bool,
    /// TLS ends at a proxy in front.
    pub behind_proxy: bool,
    /// Whoever comes must be known.
    pub controlled: bool,
    /// Somebody has said that neither is needed.
    pub insecure: bool,
}

impl Exposure {
    /// What to say loudly of an address that lets in more than it should; none if nothing is wrong with it.
    ///
    /// # Errors
    /// Why it is not listened on, with every way to mend it.
    pub fn judge(self, listening: SocketAddr) -> Result<Option<String>, String> {
        if listening.ip().to_canonical().is_loopback() {
            return Ok(None); // nobody beyond this machine comes there
        }
        let mut lacks = Vec::new();
        if !self.encrypted && !self.behind_proxy {
            lacks.push((
                "what is said can be read on the way",
                "set `tls.certificate`, or `--behind-proxy` if a proxy in front speaks TLS",
            ));
        }
        if !self.controlled {
            lacks.push((
                "whoever reaches it may do everything",
                "leave `access.required` at `auto`, or set it to `on`",
            ));
        }
        if lacks.is_empty() {
            return Ok(None);
        }
        let what: Vec<_> = lacks.iter().map(|(what, _)| *what).collect();
        let what = what.join(", and ");
        if self.insecure {
            return Ok(Some(format!("{listening} is not secure: {what}")));
        }
        let help: Vec<_> = lacks.iter().map(|(_, help)| *help).collect();
        Err(format!(
            "it would listen on {listening}, where others than this machine can come, and {what}: {}; `--insecure` lets it listen all the same",
            help.join("; ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Exposure =
        Exposure { encrypted: true, behind_proxy: false, controlled: true, insecure: false };

    fn judged(exposure: Exposure, at: &str) -> Result<Option<String>, String> {
        exposure.judge(at.parse().expect("an address"))
    }

    #[test]
    fn this_machine_alone_needs_neither() {
        let open = Exposure { encrypted: false, controlled: false, ..SAFE };
        for here in ["127.0.0.1:7100", "[::1]:7100", "127.3.2.1:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(judged(open, here), Ok(None), "{here}");
        }
    }

    #[test]
    fn others_come_only_where_it_is_safe() {
        for at in ["0.0.0.0:7100", "10.0.0.7:7100", "[::]:7100", "[2001:db8::1]:7100"] {
            assert_eq!(judged(SAFE, at), Ok(None), "{at}");
            let behind = Exposure { encrypted: false, behind_proxy: true, ..SAFE };
            assert_eq!(judged(behind, at), Ok(None), "{at}");
            let plain = judged(Exposure { encrypted: false, ..SAFE }, at).expect_err("plain");
            assert!(
                plain.contains("tls.certificate") && plain.contains("--behind-proxy"),
                "{plain}"
            );
            assert!(!plain.contains("access.required"), "{plain}");
            let open = judged(Exposure { controlled: false, ..SAFE }, at).expect_err("open");
            assert!(open.contains("access.required") && open.contains("--insecure"), "{open}");
        }
    }

    #[test]
    fn what_is_insecure_by_somebodys_word_is_said_loudly() {
        let word = Exposure { encrypted: false, controlled: false, insecure: true, ..SAFE };
        let said = judged(word, "10.0.0.7:7100").expect("it listens").expect("and says so");
        assert!(said.contains("read on the way") && said.contains("may do everything"), "{said}");
        let needless = Exposure { insecure: true, ..SAFE };
        assert_eq!(judged(needless, "10.0.0.7:7100"), Ok(None), "there is nothing to say");
    }
}
