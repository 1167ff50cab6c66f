//! Which of many things lead to each other in a circle, and in which order the others come.

/// All in groups that lead to each other (most are alone), what stands in `before[n]` before the n-th; each group in
/// order.
///
/// R. Tarjan, Depth-first search and linear graph algorithms, 1972; with a stack of its own, since a case is deep.
pub(crate) fn circles(before: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    let mut seen: Vec<Option<usize>> = vec![None; before.len()];
    let mut lowest = vec![0; before.len()];
    let mut is_open = vec![false; before.len()];
    let (mut open, mut path, mut count) = (Vec::new(), Vec::new(), 0);
    for start in 0..before.len() {
        if seen[start].is_none() {
            path.push((start, 0));
        }
        while let Some((n, next)) = path.last_mut() {
            let n = *n;
            if seen[n].is_none() {
                seen[n] = Some(count);
                lowest[n] = count;
                count += 1;
                open.push(n);
                is_open[n] = true;
            }
            if let Some(cause) = before[n].get(*next).copied() {
                *next += 1;
                match seen[cause] {
                    None => path.push((cause, 0)),
                    Some(at) if is_open[cause] => lowest[n] = lowest[n].min(at),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some((from, _)) = path.last() {
                lowest[*from] = lowest[*from].min(lowest[n]);
            }
            if seen[n] == Some(lowest[n]) {
                let at = open.iter().rposition(|o| *o == n).unwrap_or(0);
                let mut circle = open.split_off(at);
                circle.sort_unstable();
                circle.iter().for_each(|member| is_open[*member] = false);
                found.push(circle);
            }
        }
    }
    found
}
