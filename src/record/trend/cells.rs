//! The newest cells of time, oldest first. Pure.

use std::collections::VecDeque;

/// At most `max` cells; the last one has index `newest`.
pub(super) struct Ring<T> {
    cells: VecDeque<T>,
    newest: i64,
    max: usize,
}

impl<T: Clone + Default> Ring<T> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            cells: vec![T::default(); max].into(),
            newest: i64::MIN,
            max,
        }
    }

    /// The cell of this index, making room for newer ones; none if it is older than all that are kept.
    pub(super) fn at(&mut self, index: i64) -> Option<&mut T> {
        self.advance(index);
        let back = usize::try_from(self.newest.checked_sub(index)?).ok()?;
        let place = self.max.checked_sub(back + 1)?;
        self.cells.get_mut(place)
    }

    /// All cells, the last of which is `index` or newer.
    pub(super) fn until(&mut self, index: i64) -> &VecDeque<T> {
        self.advance(index);
        &self.cells
    }

    fn advance(&mut self, to: i64) {
        if to <= self.newest {
            return;
        }
        let steps = to.saturating_sub(self.newest);
        let steps = usize::try_from(steps).unwrap_or(self.max).min(self.max);
        self.cells.drain(..steps);
        self.cells.resize(self.max, T::default());
        self.newest = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_cells_give_way_and_too_old_ones_are_refused() {
        let mut ring: Ring<u32> = Ring::new(3);
        for (index, value) in [(10, 1), (11, 2), (12, 3)] {
            *ring.at(index).expect("it is new") = value;
        }
        assert_eq!(ring.until(12), &[1, 2, 3]);
        assert_eq!(ring.until(13), &[2, 3, 0]);
        assert!(ring.at(10).is_none());
        assert_eq!(ring.at(11), Some(&mut 2));
        assert_eq!(ring.until(1_000), &[0, 0, 0]);
    }
}
