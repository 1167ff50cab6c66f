//! A store in PostgreSQL.

use super::value::Reader;
use url::Url;

/// Whether nodes share the store.
#[cfg(feature = "postgres")]
const SHARE: &str = "cluster.share";

pub(super) const DATABASE: &str = "cluster.database";

/// What stands there in place of the address, whose password nobody must see.
#[cfg(any(feature = "postgres", test))]
const WANTED: &str = "it must be `postgres://user@host:port/database`";

/// The database, with how it is reached.
#[cfg(feature = "postgres")]
pub(super) fn read(read: &mut Reader<'_>) -> Option<crate::cluster::ClusterOptions> {
    use amends_store::{PostgresOptions, PostgresTls, Taking};
    use std::path::PathBuf;
    let text = read.text(DATABASE);
    let mut file =
        |key: &str| Some(read.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let (password_file, authorities) = (file("cluster.password_file"), file("cluster.authorities"));
    let (sslmode, node) = (read.text("cluster.sslmode"), read.text("cluster.node"));
    let taking = if read.flag(SHARE) { Taking::Parts } else { Taking::Whole };
    if text.is_empty() {
        if taking == Taking::Parts {
            read.mistake(SHARE, "only a database can be shared; name one in `cluster.database`");
        }
        return None;
    }
    if let Some(file) = &password_file {
        read.holds_a_secret(file);
    }
    let address = match database(&text) {
        Ok(address) => address,
        Err(why) => {
            read.mistake_of_secret(DATABASE, &why);
            return None;
        }
    };
    // Beyond this machine nobody may listen, or take the server's place.
    let usual =
        if is_on_this_machine(&address) { PostgresTls::Prefer } else { PostgresTls::VerifyFull };
    let tls = match sslmode.as_str() {
        "" => usual,
        word => word.parse().unwrap_or_else(|why: String| {
            read.mistake("cluster.sslmode", &why);
            usual
        }),
    };
    let node = if node.is_empty() { name_of_this_machine() } else { node };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    if !(1..=40).contains(&node.len()) || !node.bytes().all(fits) {
        let why =
            format!("`{node}` is no name of a node; set 1 to 40 letters, digits, `.`, `-` and `_`");
        read.mistake("cluster.node", &why);
    }
    let database = PostgresOptions {
        tls: Some(tls),
        tls_authorities: authorities,
        taking,
        ..PostgresOptions::new(address.as_str(), &node)
    };
    Some(crate::cluster::ClusterOptions { database, password_file })
}

/// This build knows files alone.
#[cfg(not(feature = "postgres"))]
pub(super) fn read(read: &mut Reader<'_>) {
    if !read.text(DATABASE).is_empty() {
        let why = "this build keeps cases in a file alone; build it with the feature `postgres`";
        read.mistake_of_secret(DATABASE, why);
    }
}

/// Reads an address of PostgreSQL; an error says what is wrong with it, and repeats no password.
#[cfg(any(feature = "postgres", test))]
fn database(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{WANTED}: {error}"))?;
    if passwords(&url).next().is_some() {
        let why = "an address holds no password: put it into a file, and name that in `cluster.password_file`";
        return Err(why.to_owned());
    }
    let named = url.path().trim_start_matches('/');
    let is_ours = matches!(url.scheme(), "postgres" | "postgresql");
    if !is_ours || url.username().is_empty() || named.is_empty() || named.contains('/') {
        return Err(WANTED.to_owned());
    }
    if let Some((key, _)) = url.query_pairs().find(|(key, _)| key != "host") {
        return Err(format!(
            "`{key}` has no place in it, `[cluster]` has keys of its own; only `?host=/folder/of/a/socket` may follow"
        ));
    }
    Ok(url)
}

/// What an address says as a password, wherever it does.
pub(super) fn passwords(url: &Url) -> impl Iterator<Item = String> + '_ {
    let asked = url.query_pairs().filter(|(key, _)| key == "password");
    url.password().map(str::to_owned).into_iter().chain(asked.map(|(_, value)| value.into_owned()))
}

/// Whether an address leads to a socket, or back to this machine.
#[cfg(any(feature = "postgres", test))]
fn is_on_this_machine(address: &Url) -> bool {
    let is_socket = |(key, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        key == "host" && value.starts_with('/')
    };
    let host = address.host_str().unwrap_or_default();
    let number = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.query_pairs().any(is_socket)
        || host == "localhost"
        || number.is_ok_and(|number| number.is_loopback())
}

#[cfg(all(feature = "postgres", unix))]
fn name_of_this_machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(all(feature = "postgres", not(unix)))]
fn name_of_this_machine() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_loopback_are_this_machine() {
        for (text, is_here) in [
            ("postgres://amends@db.example/amends", false),
            ("postgres://amends@10.0.0.5:5433/amends", false),
            ("postgresql://amends@localhost/amends", true),
            ("postgres://amends@127.0.0.1:5433/amends", true),
            ("postgres://amends@[::1]/amends", true),
            ("postgres://amends@db/amends?host=/run/postgresql", true),
        ] {
            assert_eq!(is_on_this_machine(&database(text).expect(text)), is_here, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_its_password() {
        for (text, why) in [
            ("db.example", WANTED),
            ("mysql://amends@db/amends", WANTED),
            ("postgres://db.example/amends", WANTED),
            ("postgres://amends@db.example", WANTED),
            ("postgres://amends:opensesame@db/amends", "`cluster.password_file`"),
            ("postgres://amends@db/amends?password=opensesame", "`cluster.password_file`"),
            ("postgres://amends@db/amends?sslmode=disable", "`sslmode` has no place"),
        ] {
            let said = database(text).expect_err(text);
            assert!(said.contains(why) && !said.contains("opensesame"), "{text}: {said}");
        }
    }
}
