"""Whether the server refuses everybody but administrators."""
