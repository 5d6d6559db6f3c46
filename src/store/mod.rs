//! The database: every SQL statement of the platform, and nothing else.
