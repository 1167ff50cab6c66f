//! What happened in one run, line by line, for people. Silent unless asked, so that millions of runs cost no text.

/// Lines of one story; a run that needs more is a loop, and its beginning tells why.
const LINES_LIMIT: usize = 400;

#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    /// One that listens.
    pub(crate) fn telling() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.as_mut().filter(|lines| lines.len() < LINES_LIMIT) {
            lines.push(line());
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.map_or_else(Vec::new, fold)
    }
}

/// Says only once what repeats itself in one or two lines.
fn fold(lines: Vec<String>) -> Vec<String> {
    let mut folded = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let again = |length: usize| {
            let block = &lines[at..(at + length).min(lines.len())];
            lines[at..].chunks_exact(length).take_while(|next| *next == block).count()
        };
        let (length, times) = if again(1) > 2 { (1, again(1)) } else { (2, again(2)) };
        if times > 2 {
            folded.extend_from_slice(&lines[at..at + length]);
            folded.push(format!("(the same {} times more)", times - 1));
            at += length * times;
        } else {
            folded.push(lines[at].clone());
            at += 1;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn what_repeats_is_said_once() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let again = |n: u32| format!("(the same {n} times more)");
        assert_eq!(fold(lines("a b a b a b c")), ["a", "b", &again(2), "c"]);
        assert_eq!(fold(lines("x a a a a")), ["x", "a", &again(3)]);
        assert_eq!(fold(lines("a a b b")), ["a", "a", "b", "b"]);
    }
}
