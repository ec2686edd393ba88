#!/usr/bin/perl
# Usage: without-libraries.pl FILE LIBRARY...
#
# Makes a program start without some of its libraries: those whose names begin with LIBRARY, such as
# librbd.so. Where it calls one of their functions, it ends with "undefined symbol: NAME". It is for
# 64-bit ELF files, whose numbers are in this machine's byte order. elf(5) has the names below.

use strict;
use warnings;

my ($file, @unwanted) = @ARGV;
open(my $in, '<:raw', $file) or die "$file: $!\n";
my $elf = do { local $/; <$in> };
close($in);
die "$file is not a 64-bit ELF file\n" if substr($elf, 0, 5) ne "\x7fELF\x02";

sub number { my ($at, $form) = @_; return unpack("x$at $form", $elf) }
sub put { my ($at, $form, @values) = @_; my $new = pack($form, @values); substr($elf, $at, length $new) = $new }
sub name { my ($at) = @_; return unpack("x$at Z*", $elf) }
sub is_unwanted { my ($name) = @_; return grep { index($name, $_) == 0 } @unwanted }

use constant { PT_NULL => 0, PT_LOAD => 1, PT_DYNAMIC => 2, PT_GNU_RELRO => 0x6474e552 };
use constant { DT_NULL => 0, DT_NEEDED => 1, DT_STRTAB => 5, DT_SYMTAB => 6, DT_BIND_NOW => 24, DT_FLAGS => 30 };
use constant { DT_VERSYM => 0x6ffffff0, DT_FLAGS_1 => 0x6ffffffb, DT_VERNEED => 0x6ffffffe, DT_VERNEEDNUM => 0x6fffffff };
use constant { DF_BIND_NOW => 8, DF_1_NOW => 1, VER_NDX_GLOBAL => 1 };

# Program headers: 56 bytes each. Functions are looked up when they are called first, so the table of
# their addresses must stay writable.
my ($headers, $count) = (number(32, 'Q'), number(56, 'S'));
my (@loads, $dynamic);
for my $at (map { $headers + 56 * $_ } 0 .. $count - 1) {
    my ($type, undef, $offset, $address, undef, $size) = unpack("x$at LLQQQQ", $elf);
    push @loads, [$offset, $address, $size] if $type == PT_LOAD;
    $dynamic = $offset if $type == PT_DYNAMIC;
    put($at, 'L', PT_NULL) if $type == PT_GNU_RELRO;
}
exit if !defined $dynamic; # it has no libraries

# Where in the file an address is.
sub place {
    my ($address) = @_;
    for my $load (@loads) {
        my ($offset, $from, $size) = @$load;
        return $address - $from + $offset if $address >= $from && $address < $from + $size;
    }
    die "$file has nothing at $address\n";
}

my (@entries, %of);
for (my $at = $dynamic; ; $at += 16) {
    my ($tag, $value) = unpack("x$at QQ", $elf);
    last if $tag == DT_NULL;
    push @entries, [$tag, $value];
    $of{$tag} = $value;
}
my $strings = place($of{+DT_STRTAB});
my $old = @entries;
@entries = grep { $_->[0] != DT_NEEDED || !is_unwanted(name($strings + $_->[1])) } @entries;
exit if @entries == $old;

# The versions of functions, a list of a record for each library. Theirs are taken out of it.
my %gone;
if (defined $of{+DT_VERNEED}) {
    my ($at, $last, $kept) = (place($of{+DT_VERNEED}), undef, 0);
    my $next = 1;
    for (; $next; $at += $next) {
        (undef, my $versions, my $library, my $version, $next) = unpack("x$at SSLLL", $elf);
        if (is_unwanted(name($strings + $library))) {
            for (my $aux = $at + $version; $versions > 0; $versions--) {
                my ($index, $more) = unpack("x$aux x6 Sx4L", $elf);
                $gone{$index} = 1;
                $aux += $more;
            }
            next;
        }
        $kept++;
        if (defined $last) { put($last + 12, 'L', $at - $last) }
        else { $of{+DT_VERNEED} += $at - place($of{+DT_VERNEED}) }
        $last = $at;
    }
    put($last + 12, 'L', 0) if defined $last;
    $of{+DT_VERNEEDNUM} = $kept;
    # The table of symbols ends where that of their names begins.
    my $symbols = ($strings - place($of{+DT_SYMTAB})) / 24;
    my $versym = place($of{+DT_VERSYM});
    for my $at (map { $versym + 2 * $_ } 0 .. $symbols - 1) {
        put($at, 'S', VER_NDX_GLOBAL) if $gone{ number($at, 'S') & 0x7fff };
    }
}

for my $entry (@entries) {
    my $tag = $entry->[0];
    $entry->[1] = $of{$tag} if $tag == DT_VERNEED || $tag == DT_VERNEEDNUM;
    $entry->[1] &= ~DF_BIND_NOW if $tag == DT_FLAGS;
    $entry->[1] &= ~DF_1_NOW if $tag == DT_FLAGS_1;
}
@entries = grep { $_->[0] != DT_BIND_NOW } @entries;
for my $entry (@entries, map { [DT_NULL, 0] } @entries .. $old) {
    put($dynamic, 'QQ', @$entry);
    $dynamic += 16;
}

open(my $out, '>:raw', $file) or die "$file: $!\n";
print $out $elf or die "$file: $!\n";
close($out) or die "$file: $!\n";
