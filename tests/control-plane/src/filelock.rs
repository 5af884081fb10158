//! Locks between processes, held in files.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::Error;

/// A file that is locked for as long as this is held. It ends with the process, whatever ends that.
pub(crate) struct FileLock(File);

impl FileLock {
    /// Makes the file if there is none. None: somebody else holds it.
    ///
    /// # Errors
    /// If the file cannot be made, or its file system knows no locks.
    pub fn try_new(path: &Path) -> Result<Option<Self>, Error> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
        }
    }
}

impl Drop for FileLock {
    /// Closing the file would not do: a child that another thread starts at this moment has it open, too, until it
    /// becomes the other program, and would hold the lock for so long.
    fn drop(&mut self) {
        // The file is closed next in any case.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_let_go_is_free_although_a_child_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = FileLock::try_new(&path).unwrap().unwrap();
        assert!(FileLock::try_new(&path).unwrap().is_none());
        // What a child has between fork and exec.
        let inherited = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(FileLock::try_new(&path).unwrap().is_some());
        drop(inherited);
    }
}
