//! The object tier: S3, GCS, Azure or a folder, behind everything else.
