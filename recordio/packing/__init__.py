"""From source images to shards: plan, workers, staging, publication, merging."""
