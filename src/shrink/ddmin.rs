//! Delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).

/// There are no more runs to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// A part of `items`, in their order, that still fails, and does not once any single one of it is taken away. That all
/// of them fail is known. `fails` is asked about each part that is tried.
///
/// # Errors
///
/// What `fails` says of being stopped; the last part that it said failed is the smallest so far.
pub(super) fn ddmin<T: Clone>(
    items: &[T],
    mut fails: impl FnMut(&[T]) -> Result<bool, Stopped>,
) -> Result<Vec<T>, Stopped> {
    if items.is_empty() || fails(&[])? {
        return Ok(Vec::new());
    }
    let mut left = items.to_vec();
    let mut parts = 2;
    while left.len() >= 2 {
        parts = parts.min(left.len());
        if let Some((smaller, next_parts)) = smaller(&left, parts, &mut fails)? {
            (left, parts) = (smaller, next_parts);
        } else if parts == left.len() {
            break;
        } else {
            parts *= 2;
        }
    }
    Ok(left)
}

/// The first of `parts` parts that fails by itself, or else the first whose absence leaves a failure; and how many
/// parts to cut that into.
fn smaller<T: Clone>(
    left: &[T],
    parts: usize,
    fails: &mut impl FnMut(&[T]) -> Result<bool, Stopped>,
) -> Result<Option<(Vec<T>, usize)>, Stopped> {
    let bounds = |part: usize| part * left.len() / parts..(part + 1) * left.len() / parts;
    for part in 0..parts {
        let subset = &left[bounds(part)];
        if fails(subset)? {
            return Ok(Some((subset.to_vec(), 2)));
        }
    }
    // Of two parts the one's complement is the other.
    for part in (0..parts).filter(|_| parts > 2) {
        let range = bounds(part);
        let complement = [&left[..range.start], &left[range.end..]].concat();
        if fails(&complement)? {
            return Ok(Some((complement, parts - 1)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `0..count`, and how many parts were tried.
    fn left(count: u32, fails: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let items: Vec<_> = (0..count).collect();
        let mut tried = 0;
        let left = ddmin(&items, |part| {
            tried += 1;
            Ok(fails(part))
        });
        (left.unwrap(), tried)
    }

    #[test]
    fn one_of_a_thousand_is_found_by_halving() {
        let (found, tried) = left(1000, |part| part.contains(&617));
        assert_eq!(found, [617]);
        assert!(tried <= 25, "{tried}");
    }

    #[test]
    fn those_that_fail_together_are_kept_in_order() {
        let needed = [3, 40, 77];
        let (found, _) = left(100, |part| needed.iter().all(|item| part.contains(item)));
        assert_eq!(found, needed);
    }

    #[test]
    fn nothing_is_kept_that_is_not_needed() {
        // Needs any three: no two of what is left fail.
        let (found, _) = left(50, |part| part.len() >= 3);
        assert_eq!(found.len(), 3);
        assert_eq!(left(50, |_| true), (vec![], 1));
        assert_eq!(left(5, |part| part.len() == 5).0, [0, 1, 2, 3, 4]);
        assert_eq!(left(0, |_| false), (vec![], 0));
    }

    #[test]
    fn a_part_is_never_longer_than_the_last_that_failed() {
        let items: Vec<_> = (0..64).collect();
        let mut longest = items.len();
        let kept = ddmin(&items, |part| {
            assert!(part.len() < longest, "{} of {longest}", part.len());
            let fails = part.contains(&9) && part.contains(&50);
            if fails {
                longest = part.len();
            }
            Ok(fails)
        });
        assert_eq!(kept.unwrap(), [9, 50]);
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let mut tried = 0;
        let stopped = ddmin(&[1, 2, 3], |_| {
            tried += 1;
            if tried == 2 { Err(Stopped) } else { Ok(false) }
        });
        assert_eq!((stopped, tried), (Err(Stopped), 2));
    }
}
