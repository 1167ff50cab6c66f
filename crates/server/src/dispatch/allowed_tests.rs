//! Which hosts are allowed, and which addresses are refused whatever name leads there.

use super::*;

fn allowed(list: &[&str]) -> AllowedHosts {
    let list: Vec<String> = list.iter().map(|one| (*one).to_owned()).collect();
    AllowedHosts::read(&list).expect("they can be read")
}

fn target(url: &str) -> Target {
    Target::of(&url.parse().expect("an address")).expect("a host")
}

/// What is said of an address whose name has been looked up.
fn leads_to(list: &[&str], url: &str, address: &str) -> Result<(), Refusal> {
    let (allowed, target) = (allowed(list), target(url));
    allowed.target(&target)?;
    allowed.address(&target, address.parse().expect("an address"))
}

#[test]
fn without_a_list_services_live_anywhere_but_where_none_can() {
    for address in
        ["127.0.0.1", "10.1.2.3", "192.168.0.7", "172.16.9.9", "::1", "fd12::7", "1.1.1.1"]
    {
        assert_eq!(leads_to(&[], "http://pay.example", address), Ok(()), "{address}");
    }
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.251",
        "255.255.255.255",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
    ] {
        let why = leads_to(&[], "http://pay.example", address).expect_err(address).to_string();
        assert!(why.contains("`pay.example`") && why.contains(address), "{why}");
        assert!(why.contains("`dispatch.allow_hosts`"), "{why}");
    }
}

#[test]
fn an_address_is_judged_by_where_it_carries_a_request() {
    for spelled in [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
    ] {
        let why = leads_to(&[], "http://pay.example", spelled).expect_err(spelled).to_string();
        assert!(why.contains("169.254.169.254"), "{spelled}: {why}");
    }
    assert_eq!(leads_to(&[], "http://pay.example", "::ffff:127.0.0.1"), Ok(()));
    assert_eq!(leads_to(&["10.0.0.0/8"], "http://pay.example", "::ffff:10.0.0.1"), Ok(()));
}

#[test]
fn odd_spellings_of_an_address_are_the_address() {
    for odd in
        ["2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518"]
    {
        let uri = format!("http://{odd}/latest").parse().expect("an address");
        let why = allowed(&[]).judge(&uri).expect_err(odd).to_string();
        assert!(why.contains("169.254.169.254"), "{odd}: {why}");
    }
    let uri = "http://[::ffff:a9fe:a9fe]/".parse().expect("an address");
    assert!(allowed(&[]).judge(&uri).is_err());
}

#[test]
fn names_of_a_clouds_metadata_are_refused_before_anybody_looks_them_up() {
    for url in ["http://metadata.google.internal/x", "http://METADATA.google.internal./x"] {
        let uri = url.parse().expect("an address");
        assert!(matches!(allowed(&[]).judge(&uri), Err(Refusal::Metadata(_))), "{url}");
        assert!(matches!(allowed(&["*.internal"]).judge(&uri), Err(Refusal::Metadata(_))));
        assert_eq!(allowed(&["metadata.google.internal"]).judge(&uri), Ok(()));
    }
}

#[test]
fn a_list_names_hosts_suffixes_and_networks_each_perhaps_with_a_port() {
    let list =
        ["pay.example", "*.shop.example:8443", "10.0.0.0/8", "[fd00::]/8", "192.168.1.5:9000"];
    for (url, address) in [
        ("http://PAY.example:8080", "1.2.3.4"),
        ("https://a.b.shop.example:8443", "1.2.3.4"),
        ("http://whoever.example", "10.255.0.1"),
        ("http://whoever.example", "fd00::7"),
        ("http://192.168.1.5:9000", "192.168.1.5"),
    ] {
        assert_eq!(leads_to(&list, url, address), Ok(()), "{url}");
    }
    for (url, address) in [
        ("http://pay.example.evil.example", "1.2.3.4"),
        ("https://a.shop.example", "1.2.3.4"),
        ("https://shop.example:8443", "1.2.3.4"),
        ("https://evilshop.example:8443", "1.2.3.4"),
        ("http://whoever.example", "11.0.0.1"),
        ("http://192.168.1.5:9001", "192.168.1.5"),
        ("http://192.168.1.6:9000", "192.168.1.6"),
    ] {
        let refused = leads_to(&list, url, address);
        assert!(matches!(refused, Err(Refusal::NotNamed(_))), "{url} {address}: {refused:?}");
    }
}

#[test]
fn only_the_address_itself_opens_what_is_refused() {
    let uri = "http://node.example";
    for list in [&["*"][..], &["node.example"], &["0.0.0.0/0"], &["*.example"]] {
        assert!(leads_to(list, uri, "169.254.20.10").is_err(), "{list:?}");
    }
    for list in [&["*", "169.254.20.10"][..], &["169.254.0.0/16"], &["*", "169.254.20.0/24:80"]] {
        assert_eq!(leads_to(list, uri, "169.254.20.10"), Ok(()), "{list:?}");
    }
    assert!(leads_to(&["*", "169.254.20.10"], uri, "169.254.169.254").is_err());
}

#[test]
fn what_the_configuration_itself_calls_is_named_by_that() {
    let own = |url: &str| [url.parse::<Uri>().expect("an address")];
    let collector = own("http://169.254.20.10:4318/v1/traces");
    let allowed = allowed(&["pay.example"]).with(&collector);
    assert_eq!(allowed.judge(&collector[0]), Ok(()));
    assert!(allowed.judge(&own("http://169.254.20.10:80/")[0]).is_err(), "another port");
    let hooks = AllowedHosts::default().with(&own("https://hooks.example/x"));
    assert_eq!(hooks.judge(&own("https://other.example/")[0]), Ok(()), "no list was given");
}

#[test]
fn what_names_no_host_is_told_with_its_mend() {
    for (text, mend) in [
        ("https://pay.example", "names no host"),
        ("pay example", "names no host"),
        ("a.*.example", "names no host"),
        ("", "names no host"),
        ("*.", "names no host"),
        ("pay.example:0", "is not a port"),
        ("pay.example:http", "is not a port"),
        ("10.0.0.0/33", "is not a network"),
        ("10.1.2.3/8", "beyond its first 8"),
        ("ten/8", "is not a network"),
        ("0x7f000001", "write it as `127.0.0.1`"),
    ] {
        let wrong = AllowedHosts::read(&[text.to_owned()]).expect_err(text);
        assert!(wrong[0].contains(mend) && wrong[0].contains(text), "{text}: {wrong:?}");
    }
    let several = ["a b".to_owned(), "pay.example".to_owned(), "c d".to_owned()];
    assert_eq!(AllowedHosts::read(&several).expect_err("two").len(), 2, "all at once");
}
