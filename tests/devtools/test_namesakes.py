"""Each module of the product has a test that is found by its name, or by the table below.

A module ``tag.py`` has its namesake ``test_tag.py``, or some test imports it. For the others the
table says which test shows what they do: most are parts of one page, command or port.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
_IMPORT = re.compile(r"from (jobfleet_[\w.]+) import (?:\(([^)]*)\)|(.*))")

SHOWN_BY = {
    "backends/azure/column_kinds.py": "system/test_edited_entities.py",
    "backends/azure/http/*.py": "backends/azure/test_request_cost.py",
    "backends/azure/http/azure_errors.py": "backends/azure/test_storage_refusals.py",
    "backends/azure/http/storage_calls.py": "backends/azure/test_lost_replies.py",
    "backends/azure/index/ended_counter.py": "conformance/test_fleet_counts.py",
    "backends/azure/index/error_counter.py": "conformance/test_error_groups.py",
    "backends/azure/index/job_lookup.py": "conformance/test_job_search.py",
    "backends/azure/index/live_tail.py": "conformance/test_job_index_reader.py",
    "backends/azure/index/lock_queues.py": "conformance/test_job_index_reader.py",
    "backends/azure/index/opening_batch.py": "backends/test_request_counts.py",
    "backends/azure/index/shard_merge.py": "backends/azure/test_index_shards.py",
    "backends/azure/index/type_counter.py": "conformance/test_run_times.py",
    "backends/azure/storage_names.py": "conformance/test_backend.py",
    "backends/coded_reader.py": "worker/test_payload_codec.py",
    "backends/postgres/batch.py": "backends/postgres/test_plans.py",
    "backends/postgres/job_lookup.py": "conformance/test_job_search.py",
    "backends/postgres/lock_queues.py": "conformance/test_job_index_reader.py",
    "backends/postgres/ranks.py": "backends/postgres/test_plans.py",
    "backends/postgres/server_clock.py": "cli/test_doctor_clock.py",
    "backends/postgres/user_*.py": "publisher/test_transactions.py",
    "backends/rabbitmq/confirmed_sender.py": "backends/rabbitmq/test_job_queue.py",
    "backends/rabbitmq/lane_channel.py": "backends/rabbitmq/test_job_consumer.py",
    "backends/sql/control_channel.py": "conformance/test_control_channel.py",
    "backends/sql/control_rows.py": "conformance/test_control_log.py",
    "backends/sql/held_delivery.py": "conformance/test_job_consumer.py",
    "backends/sqlite/change_signal.py": "backends/sqlite/test_wake_signal.py",
    "backends/sqlite/conditions.py": "conformance/test_job_search.py",
    "backends/sqlite/error_counts.py": "conformance/test_error_groups.py",
    "backends/sqlite/forks.py": "publisher/test_sync_processes.py",
    "backends/sqlite/job_lookup.py": "conformance/test_job_search.py",
    "backends/sqlite/lock_queues.py": "conformance/test_job_index_reader.py",
    "backends/sqlite/page_query.py": "backends/sqlite/test_query_cost.py",
    "backends/sqlite/read_pool.py": "backends/sqlite/test_database.py",
    "backends/sqlite/schema.py": "backends/sqlite/test_database.py",
    "backends/sqlite/trail_insert.py": "backends/sqlite/test_group_commit.py",
    "cli/answer*.py": "cli/test_jobs.py",
    "cli/child_process.py": "cli/test_fleet.py",
    "cli/control_verification.py": "cli/test_schedules.py",
    "cli/demo.py": "cli/test_fleet.py",
    "cli/demo_jobs/*.py": "cli/test_fleet.py",
    "cli/demo_run.py": "cli/test_fleet.py",
    "cli/event_loop.py": "worker/test_exits_of_user_code.py",
    "cli/health.py": "cli/test_worker_port.py",
    "cli/keys.py": "cli/test_entry.py",
    "cli/list_file.py": "cli/test_jobs.py",
    "cli/local_fleet.py": "cli/test_fleet.py",
    "cli/migrate.py": "backends/postgres/test_migrations.py",
    "cli/mock_third_party.py": "system/test_external_jobs.py",
    "cli/move_check.py": "system/test_moving.py",
    "cli/option_names.py": "cli/test_publish.py",
    "cli/output_file.py": "cli/test_audit.py",
    "cli/pause_commands.py": "cli/test_pauses.py",
    "cli/process_end.py": "cli/test_worker.py",
    "cli/remote_*.py": "cli/test_remote.py",
    "cli/request_options.py": "cli/test_publish.py",
    "cli/sample_jobs.py": "cli/test_fleet.py",
    "cli/standard_streams.py": "cli/test_log_streams.py",
    "cli/trail_reading.py": "cli/test_audit.py",
    "cli/up.py": "cli/test_fleet.py",
    "cli/zone.py": "cli/test_terminal.py",
    "contracts/credential_forms.py": "protocol/test_named_credentials.py",
    "contracts/kept_parts.py": "protocol/test_credential_table.py",
    "contracts/look_alikes.py": "protocol/test_credential_table.py",
    "contracts/pair_labels.py": "protocol/test_credential_table.py",
    "contracts/plain_words.py": "protocol/test_credential_table.py",
    "contracts/named_values.py": "protocol/test_named_credentials.py",
    "contracts/secret_names.py": "protocol/test_named_credentials.py",
    "contracts/text_extents.py": "protocol/test_named_credentials.py",
    "contracts/cursor.py": "dashboard/api/test_bad_input.py",
    "contracts/field_checks.py": "entrances/test_any_value.py",
    "contracts/fleet_ports.py": "conformance/test_worker_directory.py",
    "contracts/header_text.py": "worker/outbound/test_http_client.py",
    "contracts/job_bounds.py": "backends/test_message_hints.py",
    "contracts/json_check.py": "entrances/test_any_value.py",
    "contracts/missing_extra.py": "packaging/test_install.py",
    "contracts/signing_key.py": "protocol/test_signing_keys.py",
    "contracts/trace_id.py": "worker/test_tracing.py",
    "dashboard/api/*_documents.py": "dashboard/api/test_description_is_true.py",
    "dashboard/api/action_selection.py": "dashboard/api/test_actions.py",
    "dashboard/api/answer.py": "dashboard/api/test_answer_models.py",
    "dashboard/api/bulk.py": "dashboard/api/test_actions.py",
    "dashboard/api/descriptions.py": "dashboard/api/test_openapi.py",
    "dashboard/api/examples/*.py": "dashboard/api/test_openapi.py",
    "dashboard/api/filters.py": "dashboard/api/test_bad_input.py",
    "dashboard/api/health.py": "dashboard/api/test_fleet.py",
    "dashboard/api/history.py": "dashboard/api/test_jobs.py",
    "dashboard/api/outbound_parts.py": "dashboard/api/test_submission.py",
    "dashboard/api/request_parts.py": "dashboard/api/test_every_parameter.py",
    "dashboard/api/route_description.py": "dashboard/api/test_openapi.py",
    "dashboard/dead_letter_list.py": "dashboard/api/test_fleet.py",
    "dashboard/group_actions.py": "dashboard/api/test_groups.py",
    "dashboard/head_requests.py": "dashboard/api/test_connections.py",
    "dashboard/live/*_stream.py": "dashboard/api/test_streams.py",
    "dashboard/problems.py": "dashboard/api/test_bad_input.py",
    "dashboard/queue_limit.py": "dashboard/api/test_submission.py",
    "dashboard/schedule_actions.py": "dashboard/api/test_schedules.py",
    "dashboard/security/*.py": "dashboard/api/test_security.py",
    "dashboard/security/access.py": "dashboard/api/test_every_role.py",
    "dashboard/security/principal.py": "dashboard/api/test_every_role.py",
    "dashboard/security/rate_limit.py": "dashboard/api/test_submission.py",
    "dashboard/stats_reader.py": "dashboard/api/test_fleet.py",
    "dashboard/views/actions/*.py": "browser/test_questions.py",
    "dashboard/views/dead_letters/*.py": "dashboard/test_unreadable_everywhere.py",
    "dashboard/views/error_groups/*.py": "dashboard/views/test_error_pages.py",
    "dashboard/views/events/routes.py": "dashboard/views/test_event_pages.py",
    "dashboard/views/groups/routes.py": "browser/test_group_page.py",
    "dashboard/views/job/routes.py": "browser/test_one_job.py",
    "dashboard/views/job_log/routes.py": "dashboard/views/test_job_log.py",
    "dashboard/views/jobs/*.py": "browser/test_job_list.py",
    "dashboard/views/list_address.py": "dashboard/views/test_job_filter.py",
    "dashboard/views/live_stream.py": "dashboard/views/test_many_viewers.py",
    "dashboard/views/locks/routes.py": "dashboard/test_shown_locks.py",
    "dashboard/views/login/routes.py": "dashboard/api/test_sessions.py",
    "dashboard/views/overview/*.py": "browser/test_first_screen.py",
    "dashboard/views/page_state.py": "dashboard/views/test_many_viewers.py",
    "dashboard/views/problem_page.py": "dashboard/views/test_true_lists.py",
    "dashboard/views/queues/routes.py": "dashboard/test_page_cost.py",
    "dashboard/views/renderings.py": "dashboard/views/test_many_viewers.py",
    "dashboard/views/rooted_addresses.py": "dashboard/views/test_root_path.py",
    "dashboard/views/schedules/*.py": "dashboard/views/test_schedule_pages.py",
    "dashboard/views/short_id.py": "dashboard/views/test_rows.py",
    "dashboard/views/site.py": "dashboard/views/test_pages.py",
    "dashboard/views/submit/routes.py": "browser/test_first_screen.py",
    "dashboard/views/types/routes.py": "dashboard/views/test_type_pages.py",
    "dashboard/views/waiting/routes.py": "dashboard/views/test_waiting.py",
    "dashboard/views/workers/routes.py": "dashboard/test_one_worker.py",
    "protocol/claiming/claim_insert.py": "protocol/test_claiming_in_one_transaction.py",
    "protocol/actions/level_gate.py": "protocol/test_protocol_level.py",
    "protocol/actions/same_body.py": "entrances/test_same_call_again.py",
    "protocol/audit/fingerprints.py": "protocol/test_verification.py",
    "protocol/audit/violation.py": "protocol/test_verification.py",
    "protocol/claiming/lost_for_good.py": "worker/test_on_lost.py",
    "protocol/claiming/rate_deferral.py": "protocol/test_rates_at_the_claim.py",
    "protocol/moving/republication.py": "system/test_moving.py",
    "protocol/reading/job_selection.py": "dashboard/api/test_actions.py",
    "protocol/reading/verdict_reader.py": "dashboard/test_verdict.py",
    "protocol/reading/worker_jobs.py": "dashboard/test_one_worker.py",
    "publisher/group*.py": "publisher/test_groups.py",
    "publisher/random_job.py": "publisher/test_console.py",
    "publisher/request_facts.py": "publisher/test_async_endpoints.py",
    "publisher/request_fields.py": "publisher/test_publisher.py",
    "publisher/submitted_job.py": "publisher/test_publisher.py",
    "publisher/then.py": "worker/test_chains.py",
    "publisher/typed_job.py": "worker/test_typed_submit.py",
    "worker/builtin/calling_handlers.py": "worker/builtin/test_http_request.py",
    "worker/builtin/external_call.py": "system/test_external_jobs.py",
    "worker/builtin/group_cancel.py": "worker/test_groups.py",
    "worker/handlers/declared_keys.py": "worker/test_lock_keys.py",
    "worker/handlers/error_text.py": "worker/test_large_values.py",
    "worker/handlers/hook_marks.py": "worker/test_hook_declarations.py",
    "worker/handlers/progress_log.py": "worker/test_progress.py",
    "worker/handlers/runners.py": "worker/test_way_to_the_handler.py",
    "worker/handlers/schedule_marks.py": "worker/test_schedules_in_code.py",
    "worker/handlers/signature.py": "worker/test_declarations.py",
    "worker/handlers/user_thread.py": "cli/test_worker.py",
    "worker/metrics/bare_metrics.py": "worker/test_metrics.py",
    "worker/metrics/port.py": "worker/test_metrics.py",
    "worker/outbound/*_headers.py": "worker/outbound/test_http_client.py",
    "worker/outbound/bodiless_answer.py": "worker/outbound/test_strange_answers.py",
    "worker/outbound/guarded_connector.py": "worker/outbound/test_target_guard.py",
    "worker/outbound/header_rules.py": "worker/outbound/test_http_client.py",
    "worker/processes/*.py": "worker/test_process_pool.py",
    "worker/run/attempt_inputs.py": "worker/test_chains.py",
    "worker/run/cancel_listener.py": "worker/test_cancelling.py",
    "worker/run/claim_gates.py": "worker/test_deliveries.py",
    "worker/run/counted_leases.py": "worker/test_metrics.py",
    "worker/run/executor.py": "worker/test_cancelling.py",
    "worker/run/exempt_jobs.py": "worker/test_pauses.py",
    "worker/run/held_lock_slots.py": "worker/test_limits.py",
    "worker/run/message_claims.py": "worker/test_deliveries.py",
    "worker/run/message_source.py": "worker/test_pauses.py",
    "worker/run/rate_gate.py": "worker/test_rates.py",
    "worker/run/run_lease.py": "worker/test_lease_keeper.py",
    "worker/run/run_parts.py": "worker/test_way_to_the_handler.py",
    "worker/run/unclaimed_messages.py": "worker/test_deliveries.py",
    "worker/run/unsent.py": "system/test_external_jobs.py",
    "worker/upkeep/announced_keys.py": "worker/test_indexed_keys.py",
    "worker/upkeep/duties.py": "worker/test_rescuer.py",
    "worker/upkeep/level_check.py": "worker/test_newer_releases.py",
    "worker/upkeep/lock_waiters.py": "worker/test_lock_keys.py",
    "worker/upkeep/wiring.py": "worker/test_scheduler.py",
}


def test_each_module_has_a_test_that_is_found() -> None:
    names = {path.stem for path in TESTS.rglob("*.py")}
    imported = {name for path in TESTS.rglob("*.py") for name in _imported(path)}
    lacking = [
        short
        for short, dotted in _modules().items()
        if f"test_{Path(short).stem}" not in names
        and dotted not in imported
        and not any(fnmatchcase(short, key) for key in SHOWN_BY)
    ]
    assert lacking == []


def test_the_table_names_modules_and_tests_that_exist() -> None:
    assert [test for test in SHOWN_BY.values() if not (TESTS / test).is_file()] == []
    modules = _modules()
    assert [key for key in SHOWN_BY if not any(fnmatchcase(each, key) for each in modules)] == []


def _modules() -> dict[str, str]:
    """Return the import of each product module, by its place as the architecture names it."""
    found = {}
    for folder in (*ROOT.glob("services/*/"), *ROOT.glob("shared/*/")):
        package = folder / f"jobfleet_{folder.name}"
        for path in package.rglob("*.py"):
            if not path.stem.startswith("__"):
                dotted = ".".join(path.relative_to(folder).with_suffix("").parts)
                found[f"{folder.name}/{path.relative_to(package)}"] = dotted
    assert len(found) > 600
    return found


def _imported(path: Path) -> set[str]:
    """Return the modules of the product, and the names in them, that a test imports."""
    found: set[str] = set()
    for module, several, one in _IMPORT.findall(path.read_text()):
        names = re.findall(r"\w+", several or one)
        found |= {module, *(f"{module}.{name}" for name in names)}
    return found
