"""Everything that can be checked of a cache, a study, a bundle or a cohort."""
