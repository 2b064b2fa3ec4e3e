// A source file registers the structures that it defines with one macro each, at namespace scope.
//
// Each source is compiled twice: to be timed, and with SLOTLOOKUP_COUNTED to be counted.
#pragma once

#include "slotlookup/native/index_of.hpp"
#include "slotlookup/native/registry.hpp"

#ifdef SLOTLOOKUP_COUNTED
#define SLOTLOOKUP_PROBE ::slotlookup::CountProbe
#else
#define SLOTLOOKUP_PROBE ::slotlookup::NoProbe
#endif
#define SLOTLOOKUP_NODE_BYTES(Template, Role) \
  ::slotlookup::kNodeBytes<typename Template<::slotlookup::Role, SLOTLOOKUP_PROBE>::Node>
#define SLOTLOOKUP_REGISTER(name, Template, gfn_node, hva_node, gfn_maker, hva_maker)  \
  static const ::slotlookup::StructureRegistration slotlookup_registration_##Template( \
      {name, SLOTLOOKUP_PROBE::counting, gfn_node, hva_node, gfn_maker, hva_maker});

#define SLOTLOOKUP_STRUCTURE(name, Template)                                       \
  SLOTLOOKUP_REGISTER(name, Template, SLOTLOOKUP_NODE_BYTES(Template, GfnRole),    \
                      SLOTLOOKUP_NODE_BYTES(Template, HvaRole),                    \
                      (&::slotlookup::make_gfn_index<Template, SLOTLOOKUP_PROBE>), \
                      (&::slotlookup::make_hva_index<Template, SLOTLOOKUP_PROBE>))

// Structures that serve one role only.
#define SLOTLOOKUP_GFN_STRUCTURE(name, Template)                                   \
  SLOTLOOKUP_REGISTER(name, Template, SLOTLOOKUP_NODE_BYTES(Template, GfnRole), 0, \
                      (&::slotlookup::make_gfn_index<Template, SLOTLOOKUP_PROBE>), nullptr)
#define SLOTLOOKUP_HVA_STRUCTURE(name, Template)                                            \
  SLOTLOOKUP_REGISTER(name, Template, 0, SLOTLOOKUP_NODE_BYTES(Template, HvaRole), nullptr, \
                      (&::slotlookup::make_hva_index<Template, SLOTLOOKUP_PROBE>))
