//! Plans are data; one executor carries them out.
