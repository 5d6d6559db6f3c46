//! The program's own memory, which holds typed shares, tokens and keys: no crash writes it to a file, and no other
//! process of the same account reads it. What the program starts is not held to that.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// From now on there is no core dump of this process, and nobody attaches to it.
///
/// # Errors
/// The system refuses.
pub fn keep_private() -> io::Result<()> {
    undumpable()?;
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    match setrlimit(Resource::Core, none) {
        // A service may not set limits; then its unit does.
        Err(rustix::io::Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

/// Holds also where dumps go to a program, which no limit keeps from it.
#[cfg(target_os = "linux")]
fn undumpable() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
fn undumpable() -> io::Result<()> {
    Ok(())
}

/// Privacy of the memory, or a line in the log where it can't be had: that is no reason not to work.
pub fn keep_private_or_say() {
    if let Err(error) = keep_private() {
        tracing::warn!(%error, "a crash may write this program's memory, secrets among it, to a core dump");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_dump_of_this_process() {
        keep_private().unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
    }
}
