"""Whether the server in this container is ready, as its clients are told."""

import http.client
import ssl
import sys
import urllib.request
from collections.abc import Mapping


def is_ready(environment: Mapping[str, str], seconds: float, *, log: bool = True) -> bool:
    """Ask this container's own HTTP port; HTTP_PORT names it when it is not 8000."""
    scheme = "https" if environment.get("TLS_CERTIFICATE_FILE") else "http"
    url = f"{scheme}://127.0.0.1:{environment.get('HTTP_PORT', '8000')}/v2/health/ready"
    # A certificate is for the names that clients use.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # No proxy of the environment may come between the container and itself.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException) as error:
        if log:
            print(f"error: {url}: {str(error).strip()}", file=sys.stderr)
        return False
