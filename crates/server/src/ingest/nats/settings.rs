//! What our consumer must be like, and what of one that is there is not so. Pure.

use crate::ingest::NatsOptions;
use async_nats::jetstream::consumer::{
    AckPolicy, Config, DeliverPolicy, FromConsumer as _, Info, pull,
};
use async_nats::jetstream::stream;
use std::time::Duration;

/// Messages that the server lets be unacknowledged; room for what a process that died had in hand.
const MOST_UNACKNOWLEDGED: i64 = 4_096;

/// What becomes of a setting that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing is read with it: reports would be lost.
    Fatal,
    /// Reports don't come, or can be lost; perhaps somebody wants it so.
    Loses,
    /// It costs something; perhaps somebody wants it so.
    Odd,
    /// We set it as it should be when we begin.
    Mended,
}

/// A setting that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Oddity {
    pub(super) weight: Weight,
    pub(super) text: String,
}

/// What our consumer is like.
pub(super) fn wanted(options: &NatsOptions) -> pull::Config {
    pull::Config {
        durable_name: Some(options.durable.clone()),
        description: Some("Reports for Amends".to_owned()),
        // From the first that the stream has: what failed before we came is compensated as well.
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: options.ack_wait,
        max_ack_pending: MOST_UNACKNOWLEDGED,
        ..pull::Config::default()
    }
}

/// A consumer as it is, with what we may set: nobody can want it otherwise.
///
/// # Errors
/// When it is none that is pulled from.
pub(super) fn mended(
    found: &Config,
    options: &NatsOptions,
) -> Result<pull::Config, async_nats::Error> {
    pull::Config::try_from_consumer_config(Config {
        ack_wait: options.ack_wait,
        max_ack_pending: MOST_UNACKNOWLEDGED,
        max_deliver: -1,
        backoff: Vec::new(),
        ..found.clone()
    })
}

/// What of a consumer is not as it should be, the worst first.
pub(super) fn oddities(found: &Config, options: &NatsOptions) -> Vec<Oddity> {
    let mut all = Vec::new();
    let mut say = |weight: Weight, text: String| all.push(Oddity { weight, text });
    let anew = "delete it, and the supervisor makes it anew and doubles nothing";
    match found.ack_policy {
        AckPolicy::Explicit => {}
        AckPolicy::None => say(
            Weight::Fatal,
            format!("it acknowledges by itself, so that a crash would lose reports; {anew}"),
        ),
        _ => say(
            Weight::Fatal,
            format!(
                "a word on one message counts for all before it, so that a crash would lose reports; {anew}"
            ),
        ),
    }
    if found.headers_only {
        say(Weight::Fatal, format!("it brings messages without what they hold; {anew}"));
    }
    let filter = &found.filter_subject;
    for subject in options.channels.iter().map(|channel| &channel.pattern) {
        if !filter.is_empty() && !covers(filter, subject) {
            let text =
                format!("it brings only `{filter}`: reports on `{subject}` don't come; {anew}");
            say(Weight::Loses, text);
        }
    }
    if found.deliver_policy != DeliverPolicy::All {
        let text = "it began in the middle of the stream: what came before is not compensated";
        say(Weight::Odd, format!("{text}; if that is not meant, {anew}"));
    }
    if !found.inactive_threshold.is_zero() {
        let seconds = found.inactive_threshold.as_secs();
        let text = "the server removes it when nobody reads, and with it what is known as taken";
        say(Weight::Odd, format!("{text} (inactive_threshold is {seconds} s); {anew}"));
    }
    for (setting, found, wanted) in to_be_set(found, options) {
        let text = format!("{setting} is {found}; the supervisor sets it to {wanted}");
        say(Weight::Mended, text);
    }
    all
}

/// What the stream has removed that was not brought to us, if anything: in a sentence. A consumer that has read nothing
/// yet begins with what is there, and one that is brought only some subjects can't tell.
pub(super) fn removed_unread(stream: &stream::Info, consumer: &Info) -> Option<String> {
    let (last, first) = (consumer.delivered.stream_sequence, stream.state.first_sequence);
    let removed = first.saturating_sub(last + 1);
    let is_ours = last > 0 && consumer.config.filter_subject.is_empty();
    (is_ours && removed > 0).then(|| {
        format!(
            "stream `{}` has removed messages that were not read, up to {removed} of them, from {} on: its limits are shorter than \
             we were away; reports among them are lost",
            consumer.stream_name,
            last + 1
        )
    })
}

/// What `mended` changes: the setting, what it is, and what it becomes.
fn to_be_set(found: &Config, options: &NatsOptions) -> Vec<(&'static str, String, String)> {
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let (wait, most) = (found.ack_wait, found.max_ack_pending);
    let all = [
        ("ack_wait", seconds(wait), seconds(options.ack_wait), wait != options.ack_wait),
        (
            "max_ack_pending",
            most.to_string(),
            MOST_UNACKNOWLEDGED.to_string(),
            most != MOST_UNACKNOWLEDGED,
        ),
        // After so many tries the server would give a report up.
        (
            "max_deliver",
            found.max_deliver.to_string(),
            "-1 (no limit)".to_owned(),
            found.max_deliver > 0,
        ),
        (
            "backoff",
            format!("{} steps", found.backoff.len()),
            "none".to_owned(),
            !found.backoff.is_empty(),
        ),
    ];
    let odd = all.into_iter().filter(|(.., differs)| *differs);
    odd.map(|(setting, found, wanted, _)| (setting, found, wanted)).collect()
}

/// Whether everything that matches one subject matches another.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(word)) if word != ">" => {}
            (Some(wide), Some(word)) if wide == word => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Channel;
    use async_nats::jetstream::consumer::IntoConsumerConfig as _;

    fn options() -> NatsOptions {
        NatsOptions {
            servers: Vec::new(),
            stream: "AMENDS".to_owned(),
            durable: "amends".to_owned(),
            ack_wait: Duration::from_secs(60),
            channels: vec![Channel::read("amends.reports.*", &[]).expect("a channel")],
            credentials: None,
            user: None,
            authorities: None,
            identity: None,
        }
    }

    #[test]
    fn a_stream_holds_what_its_subjects_cover() {
        for (wide, narrow) in
            [("a.*", "a.*"), ("a.*", "a.b"), ("a.>", "a.*.c"), ("a.>", "a.>"), (">", "a.b")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in
            [("a.*", "a.>"), ("a.b", "a.*"), ("a.>", "a"), ("a", "a.b"), ("a.b", "a")]
        {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn each_setting_that_is_not_ours_is_told_with_its_weight() {
        let (options, good) = (options(), wanted(&options()).into_consumer_config());
        assert_eq!(oddities(&good, &options), []);
        let server = Config { max_deliver: -1, ..good.clone() };
        assert_eq!(oddities(&server, &options), [], "what the server makes of it");
        let second = Duration::from_secs(1);
        let filter = |subject: &str| Config { filter_subject: subject.to_owned(), ..good.clone() };
        for (found, weight, says) in [
            (Config { ack_policy: AckPolicy::None, ..good.clone() }, Weight::Fatal, "by itself"),
            (Config { ack_policy: AckPolicy::All, ..good.clone() }, Weight::Fatal, "all before"),
            (Config { headers_only: true, ..good.clone() }, Weight::Fatal, "without"),
            (filter("amends.reports.order"), Weight::Loses, "`amends.reports.*`"),
            (
                Config { deliver_policy: DeliverPolicy::New, ..good.clone() },
                Weight::Odd,
                "in the middle",
            ),
            (Config { inactive_threshold: second, ..good.clone() }, Weight::Odd, "is 1 s"),
            (Config { ack_wait: second, ..good.clone() }, Weight::Mended, "ack_wait is 1 s"),
            (Config { max_ack_pending: 1, ..good.clone() }, Weight::Mended, "max_ack_pending"),
            (Config { max_deliver: 3, ..good.clone() }, Weight::Mended, "max_deliver is 3"),
            (Config { backoff: vec![second], ..good.clone() }, Weight::Mended, "backoff"),
        ] {
            let told = oddities(&found, &options);
            assert!(
                matches!(&told[..], [one] if one.weight == weight && one.text.contains(says)),
                "{says}: {told:?}"
            );
            if weight == Weight::Mended {
                let mended = mended(&found, &options).expect("it is pulled from");
                assert_eq!(oddities(&mended.into_consumer_config(), &options), []);
            }
        }
        assert_eq!(oddities(&filter("amends.>"), &options), [], "all of ours come");
    }
}
