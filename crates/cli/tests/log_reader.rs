//! Whoever reads the log may stop reading: the supervisor goes on, says how much was lost, and goes on logging.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use support::process::{Process, Streams};
use support::{command, eventually, scratch};

/// Sends a request and reads the whole answer.
fn ask(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A thousand reports of a service that no rulebook knows: some lines for each.
fn batch(address: &str, number: usize) -> String {
    let events: Vec<String> = (0..1_000)
        .map(|n| {
            format!(
                r#"{{"specversion":"1.0","type":"dev.amends.report.v1","source":"shop","id":"r-{number}-{n}","subject":"o-{number}-{n}","data":{{"code":"odd"}}}}"#
            )
        })
        .collect();
    let body = format!("[{}]", events.join(","));
    let head = format!(
        "POST /v1/reports:batch HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/cloudevents-batch+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    ask(address, &(head + &body))
}

fn dropped_lines(address: &str) -> u64 {
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let line = answer.lines().find(|line| line.starts_with("amends_log_lines_dropped_total "));
    let number = line.and_then(|line| line.split(' ').nth(1)).expect("the metric");
    number.trim().parse().expect("a number")
}

#[test]
fn a_reader_of_the_log_that_stops_reading_stops_nothing() {
    let folder = scratch();
    let mut serve = command();
    serve.args(["serve", "--log", "debug", "--log-format", "json", "--exit-with-parent"]);
    serve.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path());
    let streams = Streams { stdin: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
    let mut process = Process::start(&mut serve, streams, "the binary runs");
    let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
    let mut next = || log.next().expect("more lines").expect("text");
    let address = loop {
        if let Some((_, url)) = next().split_once("listening on http://") {
            break url.trim().to_owned();
        }
    };
    // From here on nobody reads, until lines are lost: a pipe takes 64 KiB, and the supervisor keeps 1 MiB.
    let mut number = 0;
    eventually("lines are lost", || {
        number += 1;
        let answer = batch(&address, number);
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        (dropped_lines(&address) > 0).then_some(())
    });
    assert!(
        ask(&address, "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .contains(" 200 ")
    );
    // Whoever reads again hears how many.
    while !next().contains("log lines were dropped") {}
}
