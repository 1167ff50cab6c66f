//! A message by Kafka's own protocol, with headers of any bytes: no client library sends names that are not text.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Publishes to partition 0 and returns once the broker has it.
pub async fn publish(address: &str, topic: &str, headers: &[(&[u8], &[u8])], body: &[u8]) {
    let batch = batch(&record(headers, body));
    // Produce (0) in version 3, under some number and no client's name.
    let mut request = [&[0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff][..]].concat();
    // In no transaction, acknowledged by all, within ten seconds.
    request.extend([0xff, 0xff, 0xff, 0xff]);
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend(length(&batch));
    request.extend(batch);
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(&[&length(&request)[..], &request].concat()).await.expect("sent");
    let answer = stream.read_i32().await.expect("answered");
    let mut answer = vec![0; usize::try_from(answer).expect("a length")];
    stream.read_exact(&mut answer).await.expect("answered");
    // Its number, one topic by name, one partition by number; then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "{answer:?}");
}

fn length(bytes: &[u8]) -> [u8; 4] {
    i32::try_from(bytes.len()).expect("short").to_be_bytes()
}

/// A batch of one record, of format 2.
fn batch(record: &[u8]) -> Vec<u8> {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
    let now = i64::try_from(now).expect("soon").to_be_bytes();
    // Attributes, last offset, first and last time, no producer's id, epoch and number, one record.
    let checked = [&[0; 6][..], &now, &now, &[0xff; 14], &1_i32.to_be_bytes(), record].concat();
    let rest =
        [&(-1_i32).to_be_bytes()[..], &[2], &crc32c(&checked).to_be_bytes(), &checked].concat();
    [&[0; 8][..], &length(&rest), &rest].concat()
}

/// A record without a key.
fn record(headers: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    // Attributes, time and offset as in the batch, no key.
    let mut record = [&[0, 0, 0][..], &varint(-1), &sized(body)].concat();
    record.extend(varint(i64::try_from(headers.len()).expect("few")));
    for (name, value) in headers {
        record.extend([sized(name), sized(value)].concat());
    }
    sized(&record)
}

/// Bytes after their number.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [varint(i64::try_from(bytes.len()).expect("short")), bytes.to_vec()].concat()
}

/// A number in groups of seven bits, its sign in the lowest.
fn varint(number: i64) -> Vec<u8> {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
