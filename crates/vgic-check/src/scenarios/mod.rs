//! The scenarios, one a file.

pub mod add_vs_release;
pub mod after_open_window;
pub mod concurrent_invalidation;
pub mod flush_vs_discard;
pub mod fold_unmapped;
pub mod get_vs_final_put;
pub mod its_disable_vs_resolver;
pub mod kick_vs_block;
pub mod kick_vs_entry;
pub mod lpis_disable_vs_resolver;
pub mod migrate_vs_lpi_disable;
pub mod mix;
pub mod movall_vs_prune;
pub mod prune_vs_lpi_disable;
pub mod reserve_vs_release;
pub mod save_pending_vs_discard;
pub mod send_in_interrupt;
pub mod send_vs_discard;
pub mod send_vs_eviction;
pub mod send_vs_mapd_off;
pub mod send_vs_movi;
pub mod two_its_one_lpi;
pub mod two_senders_one_insertion;
pub mod walk_vs_discard;
pub mod xarray;
