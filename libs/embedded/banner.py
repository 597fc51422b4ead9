"""What a newcomer sees when the platform is ready, and what a second `up` says."""

import time

from libs.embedded.layout import Layout
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import PlatformState


def ready_banner(settings: PlatformSettings, layout: Layout, took_s: float, *, servers_only: bool) -> str:
    """Where everything is, how to get in, how to stop."""
    host = settings.host
    lines = ["", f"  Lastmile is ready after {took_s:.1f} s", ""]
    if not servers_only:
        web = f"http://{host}:{settings.gateway_http_port}"
        lines += [
            f"  start here   {web}/",
            f"  REST         {web}/docs   (OpenAPI: {web}/openapi.json)",
            f"  sandbox      {web}/sandbox/inbox   the messages that nobody is sent",
            f"  gRPC         {host}:{settings.assignment_port} assignment   {host}:{settings.gateway_grpc_port} access",
            f"               {host}:{settings.relay_port} event streams",
        ]
        ports = {"notification": settings.notification_port, "reconciliation": settings.reconciliation_port}
        running = [name for name in ports if name in settings.running_services]
        lines += [f"               {host}:{ports[name]} {name}" for name in running]
        if settings.plays_network:
            lines.append(f"  a network    http://{host}:{settings.sandbox_network_port}/control/record")
    if settings.embeds_postgres:
        lines.append(f"  PostgreSQL   {host}:{settings.postgres_port}   hot standby {host}:{settings.standby_port}")
    if settings.embeds_redis:
        lines.append(f"  Valkey       {host}:{settings.redis_port}")
    lines += [
        f"  API key      cat {layout.secrets / 'ops_api_key'}",
        f"  logs         {layout.logs}",
    ]
    if layout.relocated and (settings.embeds_postgres or settings.embeds_redis):
        lines.append(f"  data         {layout.servers}   (their account cannot enter {layout.home})")
    lines += ["  stop         Ctrl-C here, or `lastmile down`", ""]
    return "\n".join(lines)


def running_text(state: PlatformState) -> str:
    """What is already running."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started_at_s))
    kind = "ready" if state.ready_at_s else "still starting"
    lines = [f"Lastmile is already running here ({state.home}), {kind}: supervisor {state.pid}, since {since}"]
    for process in state.processes:
        ports = ", ".join(str(port) for port in process.ports) or "-"
        lines.append(f"  {process.name:<20} pid {process.pid or '-':<8} port {ports:<14} {process.state}")
    lines.append("Stop it with `lastmile down`.")
    return "\n".join(lines)
