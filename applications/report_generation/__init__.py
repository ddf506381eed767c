"""Drafts of radiology reports from the views of a visit and what is known of the visit before."""
