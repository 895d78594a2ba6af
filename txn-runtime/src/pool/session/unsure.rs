//! What has run on a session out of sight, and whether it was looked at since.

use super::Session;
use crate::engine::Engine;
use crate::model::unsure::Unsure;

impl<DB: Engine> Session<DB> {
    /// Notes what is about to run. What was noted before goes on to count.
    pub(crate) fn suspect(&mut self, unsure: Unsure) {
        let ended = self.to_look_at().is_some_and(|before| before.ends);
        self.unsure = Some(Box::new(unsure.and_ends(ended)));
    }

    /// What has run since the session was last looked at, if it may have changed its state.
    #[inline(always)]
    pub(crate) fn to_look_at(&self) -> Option<&Unsure> {
        self.unsure.as_deref().filter(|unsure| !unsure.looked_at)
    }

    /// The session was looked at, and the runtime knows its state again. Tells what had run.
    ///
    /// Where more than its transaction may have been changed, that is still to be restored.
    pub(crate) fn is_looked_at(&mut self) -> Option<Box<Unsure>> {
        if DB::RESTORE.is_none() {
            return self.unsure.take();
        }
        let unsure = self.unsure.as_mut().filter(|unsure| !unsure.looked_at)?;
        let known = unsure.clone();
        unsure.looked_at = true;
        Some(known)
    }

    /// Something has run on it that may have changed more than its transaction.
    pub(crate) fn was_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// Nothing is left of what has run.
    pub(crate) fn is_sure_again(&mut self) {
        self.unsure = None;
    }
}
