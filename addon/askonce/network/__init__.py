"""Who may use the proxy, and which addresses it connects to for him.

One rule: decided by addresses of sockets and by keys, never by how somebody writes a name.
"""
