//! What bodies of requests under way may hold in memory, all together. Each has a little that nobody can take from it,
//! so that reports of common size always come through; what is longer shares one budget and is refused when that is
//! used up. Nobody waits for it: two halves of a body would wait for each other.

use axum::body::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What every body has to itself, in bytes. With the default limit of connections that is 64 MiB, as much as their
/// heads may take.
pub(crate) const OWN: usize = 16 << 10;
/// What a longer body grows by, in bytes. It is kept in blocks of this size, so that it is never copied while it grows.
const BLOCK: usize = 64 << 10;

/// The budget of one supervisor; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    /// In bytes.
    left: Arc<Semaphore>,
}

/// The budget is used up.
#[derive(Debug)]
pub(crate) struct UsedUp;

/// A body that is being read.
pub(crate) struct Growing {
    bodies: Bodies,
    blocks: Vec<Vec<u8>>,
    length: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))) }
    }

    pub(crate) fn begin(&self) -> Growing {
        Growing { bodies: self.clone(), blocks: Vec::new(), length: 0, held: None }
    }
}

impl Growing {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds what came. The memory for it is in the budget before it is asked for; `most` is all that can come.
    pub(crate) fn push(&mut self, mut part: &[u8], most: usize) -> Result<(), UsedUp> {
        while !part.is_empty() {
            let room = self.blocks.last().map_or(0, |block| block.capacity() - block.len());
            if room == 0 {
                self.add_block(most.saturating_sub(self.length).max(1))?;
                continue;
            }
            let (now, later) = part.split_at(room.min(part.len()));
            if let Some(block) = self.blocks.last_mut() {
                block.extend_from_slice(now);
            }
            self.length += now.len();
            part = later;
        }
        Ok(())
    }

    fn add_block(&mut self, most: usize) -> Result<(), UsedUp> {
        if self.blocks.is_empty() {
            self.blocks.push(Vec::with_capacity(most.min(OWN)));
            return Ok(());
        }
        let size = most.min(BLOCK);
        let permits = u32::try_from(size).map_err(|_| UsedUp)?;
        let left = Arc::clone(&self.bodies.left);
        let permit = left.try_acquire_many_owned(permits).map_err(|_| UsedUp)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        self.blocks.push(Vec::with_capacity(size));
        Ok(())
    }

    /// The whole body; its share of the budget is given back when the last of it is dropped.
    pub(crate) fn finish(mut self) -> Bytes {
        if self.blocks.len() <= 1 {
            return self.blocks.pop().unwrap_or_default().into();
        }
        let mut bytes = Vec::with_capacity(self.length);
        for block in self.blocks {
            bytes.extend_from_slice(&block); // and it is gone
        }
        match self.held {
            None => bytes.into(),
            Some(held) => Bytes::from_owner(Held { bytes, _held: held }),
        }
    }
}

struct Held {
    bytes: Vec<u8>,
    _held: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn read(bodies: &Bodies, length: usize) -> Result<Bytes, UsedUp> {
        let mut growing = bodies.begin();
        let part = vec![7; 10_000];
        while growing.len() < length {
            let most = (length - growing.len()).min(part.len());
            growing.push(&part[..most], length)?;
        }
        Ok(growing.finish())
    }

    #[test]
    fn long_bodies_share_the_budget_and_short_ones_need_none() {
        let bodies = Bodies::new(4 * MIB);
        let held: Vec<Bytes> = (0..4).map(|_| read(&bodies, MIB).expect("room")).collect();
        assert!(held.iter().all(|body| body.len() == MIB && body.iter().all(|b| *b == 7)));
        assert!(read(&bodies, MIB).is_err(), "all is used");
        assert_eq!(read(&bodies, OWN).expect("its own").len(), OWN);
        drop(held);
        assert_eq!(bodies.left.available_permits(), 4 * MIB, "all is given back");
        assert!(read(&bodies, 4 * MIB).is_ok());
        assert!(read(&bodies, 5 * MIB).is_err());
        assert_eq!(bodies.left.available_permits(), 4 * MIB, "a refused one gives its share back");
    }
}
