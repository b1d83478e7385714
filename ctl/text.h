/*
 * text: makes text from peers fit for JSON and logs. Pure, any thread, allocates nothing.
 */
#ifndef SLR_CTL_TEXT_H
#define SLR_CTL_TEXT_H

/* Replaces, in place, every byte that is no part of well-formed UTF-8 (RFC 3629) by '?'. */
void slr_text_clean(char *text);

#endif
